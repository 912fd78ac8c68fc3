/*
 * mysql_charset_single.c - character sets of one byte
 *
 * Made by tests/make_charsets.py from servers of both families (mariadb10.1 to mysql9.7); not to be edited.
 */
// clang-format off
#include "mysql_charset_table.h"

static const struct charset_run armscii8_runs[] = {
	{ 0xa1, "❁§։)(»«—.՝,-՟…՜՛՞ԱաԲբԳգԴդԵեԶզԷէԸըԹթԺժԻիԼլԽխԾծԿկՀհՁձՂղՃճՄմՅյՆնՇշՈոՉչՊպՋջՌռՍսՎվՏտՐրՑցՒւՓփՔքՕօՖֆ’" },
	{ 0xff, "'" },
	{ 0, NULL },
};
static const struct charset_span armscii8_spans[] = {
	{ 0x80, 0x80, 33 }, { 0, 0, 0 },
};

static const struct charset_run cp1250_runs[] = {
	{ 0x80, "€ ‚ „…†‡ ‰Š‹ŚŤŽŹ ‘’“”•–— ™š›śťžź\302\240ˇ˘Ł¤Ą¦§¨©Ş«¬\302\255®Ż°±˛ł´µ¶·¸ąş»Ľ˝ľżŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝ" },
	{ 0xde, "Ţßŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙" },
	{ 0, NULL },
};

static const struct charset_run cp1251_runs[] = {
	{ 0x80, "ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–— ™љ›њќћџ\302\240ЎўЈ¤Ґ¦§Ё©Є«¬\302\255®Ї°±Ііґµ¶·ё№є»јЅѕї" },
	{ 0, NULL },
};
static const struct charset_span cp1251_spans[] = {
	{ 0xc0, 0x410, 64 }, { 0, 0, 0 },
};

static const struct charset_run cp1256_runs[] = {
	{ 0x80, "€پ‚ƒ„…†‡ˆ‰ ‹Œچژ گ‘’“”•–— ™ ›œ\342\200\214\342\200\215 \302\240،¢£¤¥¦§¨© «¬\302\255®¯°±²³´µ¶·¸¹؛»¼½¾؟" },
	{ 0xd7, "×طظعغـفقكàلâمنهوçèéêëىيîï\331\213\331\214\331\215\331\216ô\331\217\331\220÷\331\221ù\331\222ûü\342\200\216\342\200\217" },
	{ 0, NULL },
};
static const struct charset_span cp1256_spans[] = {
	{ 0xc1, 0x621, 22 }, { 0, 0, 0 },
};

static const struct charset_run cp1257_runs[] = {
	{ 0x80, "€ ‚ „…†‡ ‰ ‹ ¨ˇ¸ ‘’“”•–— ™ › ¯˛ \302\240 ¢£¤ ¦§Ø©Ŗ«¬\302\255®Æ°±²³´µ¶·ø¹ŗ»¼½¾æĄĮĀĆÄÅĘĒČÉŹĖĢĶĪĻŠŃŅÓŌÕÖ×ŲŁŚŪÜŻ" },
	{ 0xde, "Žßąįāćäåęēčéźėģķīļšńņóōõö÷ųłśūüżž˙" },
	{ 0, NULL },
};

static const struct charset_run cp850_runs[] = {
	{ 0x80, "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦" },
	{ 0xde, "Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\302\255±‗¾¶§÷¸°¨·¹³²■\302\240" },
	{ 0, NULL },
};

static const struct charset_run cp852_runs[] = {
	{ 0x80, "ÇüéâäůćçłëŐőîŹÄĆÉĹĺôöĽľŚśÖÜŤťŁ×čáíóúĄąŽžĘę¬źČş«»░▒▓│┤ÁÂĚŞ╣║╗╝Żż┐└┴┬├─┼Ăă╚╔╩╦╠═╬¤đĐĎËďŇÍÎě┘┌█▄Ţ" },
	{ 0xde, "Ů▀ÓßÔŃńňŠšŔÚŕŰýÝţ´\302\255˝˛ˇ˘§÷¸°¨˙űŘř■\302\240" },
	{ 0, NULL },
};

static const struct charset_run cp866_runs[] = {
	{ 0xb0, "░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀" },
	{ 0xf0, "ЁёЄєЇїЎў°∙·√ⁿ²■\302\240" },
	{ 0, NULL },
};
static const struct charset_span cp866_spans[] = {
	{ 0x80, 0x410, 48 }, { 0xe0, 0x440, 16 }, { 0, 0, 0 },
};

static const struct charset_run dec8_runs[] = {
	{ 0xa5, "¥ §¤©ª«    °±²³ µ¶· ¹º»¼½" },
	{ 0xd1, "ÑÒÓÔÕÖŒØÙÚÛÜŸ" },
	{ 0xf1, "ñòóôõöœøùúûüÿ" },
	{ 0, NULL },
};
static const struct charset_span dec8_spans[] = {
	{ 0x80, 0x80, 36 }, { 0xbf, 0xbf, 17 }, { 0xdf, 0xdf, 17 }, { 0, 0, 0 },
};

static const struct charset_run geostd8_runs[] = {
	{ 0x80, "€ ‚ „…†‡ ‰ ‹     ‘’“”•–—   ›" },
	{ 0xc0, "აბგდევზჱთიკლმნჲოპჟრსტჳუფქღყშჩცძწჭხჴჯჰჵ" },
	{ 0xfd, "№" },
	{ 0, NULL },
};
static const struct charset_span geostd8_spans[] = {
	{ 0xa0, 0xa0, 32 }, { 0, 0, 0 },
};

static const struct charset_run greek_runs[] = {
	{ 0xa1, "ʽʼ£  ¦§¨© «¬\302\255 ―°±²³΄΅Ά·ΈΉΊ»Ό½" },
	{ 0, NULL },
};
static const struct charset_span greek_spans[] = {
	{ 0x80, 0x80, 33 }, { 0xbe, 0x38e, 20 }, { 0xd3, 0x3a3, 44 }, { 0, 0, 0 },
};

static const struct charset_run hebrew_runs[] = {
	{ 0xa2, "¢£¤¥¦§¨©×«¬\302\255®‾°±²³´µ¶·¸¹÷»¼½¾" },
	{ 0xdf, "‗" },
	{ 0xfd, "\342\200\216\342\200\217" },
	{ 0, NULL },
};
static const struct charset_span hebrew_spans[] = {
	{ 0x80, 0x80, 33 }, { 0xe0, 0x5d0, 27 }, { 0, 0, 0 },
};

static const struct charset_run hp8_runs[] = {
	{ 0xa1, "ÀÂÈÊËÎÏ´ˋˆ¨˜ÙÛ₤¯Ýý°ÇçÑñ¡¿¤£¥§ƒ¢âêôûáéóúàèòùäëöüÅîØÆåíøæÄìÖÜÉïßÔÁÃãÐðÍÌÓÒÕõŠšÚŸÿÞþ·µ¶¾—¼½ªº«■»±" },
	{ 0, NULL },
};
static const struct charset_span hp8_spans[] = {
	{ 0x80, 0x80, 33 }, { 0, 0, 0 },
};

static const struct charset_run keybcs2_runs[] = {
	{ 0x80, "ČüéďäĎŤčěĚĹÍľĺÄÁÉžŽôöÓůÚýÖÜŠĽÝŘťáíóúňŇŮÔšřŕŔ¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌" },
	{ 0xde, "▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\302\240" },
	{ 0, NULL },
};

static const struct charset_run koi8r_runs[] = {
	{ 0x80, "─│┌┐└┘├┤┬┴┼▀▄█▌▐░▒▓⌠■∙√≈≤≥\302\240⌡°²·÷═║╒ё╓╔╕╖╗╘╙╚╛╜╝╞╟╠╡Ё╢╣╤╥╦╧╨╩╪╫╬©юабцдефгхийклмнопярстужвьызшэщ" },
	{ 0xde, "чъЮАБЦДЕФГХИЙКЛМНОПЯРСТУЖВЬЫЗШЭЩЧЪ" },
	{ 0, NULL },
};

static const struct charset_run koi8u_runs[] = {
	{ 0x80, "─│┌┐└┘├┤┬┴┼▀▄█▌▐░▒▓⌠■•√≈≤≥\302\240⌡°²·÷═║╒ёє╔ії╗╘╙╚╛ґ╝╞╟╠╡ЁЄ╣ІЇ╦╧╨╩╪Ґ╬©юабцдефгхийклмнопярстужвьызшэщ" },
	{ 0xde, "чъЮАБЦДЕФГХИЙКЛМНОПЯРСТУЖВЬЫЗШЭЩЧЪ" },
	{ 0, NULL },
};

static const struct charset_run latin1_runs[] = {
	{ 0x80, "€\302\201‚ƒ„…†‡ˆ‰Š‹Œ\302\215Ž\302\217\302\220‘’“”•–—˜™š›œ\302\235žŸ" },
	{ 0, NULL },
};
static const struct charset_span latin1_spans[] = {
	{ 0xa0, 0xa0, 96 }, { 0, 0, 0 },
};

static const struct charset_run latin2_runs[] = {
	{ 0xa1, "Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\302\255ŽŻ°ą˛ł´ľśˇ¸šşťź˝žżŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢßŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ" },
	{ 0xff, "˙" },
	{ 0, NULL },
};
static const struct charset_span latin2_spans[] = {
	{ 0x80, 0x80, 33 }, { 0, 0, 0 },
};

static const struct charset_run latin5_runs[] = {
	{ 0xd0, "ĞÑÒÓÔÕÖ×ØÙÚÛÜİŞ" },
	{ 0xf0, "ğñòóôõö÷øùúûüışÿ" },
	{ 0, NULL },
};
static const struct charset_span latin5_spans[] = {
	{ 0x80, 0x80, 80 }, { 0xdf, 0xdf, 17 }, { 0, 0, 0 },
};

static const struct charset_run latin7_runs[] = {
	{ 0xa1, "”¢£¤„¦§Ø©Ŗ«¬\302\255®Æ°±²³“µ¶·ø¹ŗ»¼½¾æĄĮĀĆÄÅĘĒČÉŹĖĢĶĪĻŠŃŅÓŌÕÖ×ŲŁŚŪÜŻŽßąįāćäåęēčéźėģķīļšńņóōõö÷ųłśūüżž" },
	{ 0xff, "’" },
	{ 0, NULL },
};
static const struct charset_span latin7_spans[] = {
	{ 0x80, 0x80, 33 }, { 0, 0, 0 },
};

static const struct charset_run macce_runs[] = {
	{ 0x80, "ÄĀāÉĄÖÜáąČäčĆćéŹźĎíďĒēĖóėôöõúĚěü†°Ę£§•¶ß®©™ę¨≠ģĮįĪ≤≥īĶ∂∑łĻļĽľĹĺŅņŃ¬√ńŇ∆«»…\302\240ňŐÕőŌ–—“”‘’÷◊ōŔŕŘ‹›" },
	{ 0xde, "řŖŗŠ‚„šŚśÁŤťÍŽžŪÓÔūŮÚůŰűŲųÝýķŻŁżĢˇ" },
	{ 0, NULL },
};

static const struct charset_run macroman_runs[] = {
	{ 0x80, "ÄÅÇÉÑÖÜáàâäãåçéèêëíìîïñóòôöõúùûü†°¢£§•¶ß®©™´¨≠ÆØ∞±≤≥¥µ∂∑∏π∫ªºΩæø¿¡¬√ƒ≈∆«»…\302\240ÀÃÕŒœ–—“”‘’÷◊ÿŸ⁄€‹›" },
	{ 0xde, "ﬁﬂ‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔ\357\243\277ÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ" },
	{ 0, NULL },
};

static const struct charset_run swe7_runs[] = {
	{ 0x40, "É" },
	{ 0x5b, "ÄÖÅÜ é" },
	{ 0x7b, "äöåü" },
	{ 0, NULL },
};

static const struct charset_run tis620_runs[] = {
	{ 0xa0, "�" },
	{ 0xdb, "����" },
	{ 0xfc, "����" },
	{ 0, NULL },
};
static const struct charset_span tis620_spans[] = {
	{ 0x80, 0x80, 32 }, { 0xa1, 0xe01, 58 }, { 0xdf, 0xe3f, 29 }, { 0, 0, 0 },
};

struct charset charset_single[] = {
	{ .name = "armscii8", .max = 1, .runs = armscii8_runs, .spans = armscii8_spans },
	{ .name = "cp1250", .max = 1, .runs = cp1250_runs },
	{ .name = "cp1251", .max = 1, .runs = cp1251_runs, .spans = cp1251_spans },
	{ .name = "cp1256", .max = 1, .runs = cp1256_runs, .spans = cp1256_spans },
	{ .name = "cp1257", .max = 1, .runs = cp1257_runs },
	{ .name = "cp850", .max = 1, .runs = cp850_runs },
	{ .name = "cp852", .max = 1, .runs = cp852_runs },
	{ .name = "cp866", .max = 1, .runs = cp866_runs, .spans = cp866_spans },
	{ .name = "dec8", .max = 1, .runs = dec8_runs, .spans = dec8_spans },
	{ .name = "geostd8", .max = 1, .runs = geostd8_runs, .spans = geostd8_spans },
	{ .name = "greek", .max = 1, .runs = greek_runs, .spans = greek_spans },
	{ .name = "hebrew", .max = 1, .runs = hebrew_runs, .spans = hebrew_spans },
	{ .name = "hp8", .max = 1, .runs = hp8_runs, .spans = hp8_spans },
	{ .name = "keybcs2", .max = 1, .runs = keybcs2_runs },
	{ .name = "koi8r", .max = 1, .runs = koi8r_runs },
	{ .name = "koi8u", .max = 1, .runs = koi8u_runs },
	{ .name = "latin1", .max = 1, .runs = latin1_runs, .spans = latin1_spans },
	{ .name = "latin2", .max = 1, .runs = latin2_runs, .spans = latin2_spans },
	{ .name = "latin5", .max = 1, .runs = latin5_runs, .spans = latin5_spans },
	{ .name = "latin7", .max = 1, .runs = latin7_runs, .spans = latin7_spans },
	{ .name = "macce", .max = 1, .runs = macce_runs },
	{ .name = "macroman", .max = 1, .runs = macroman_runs },
	{ .name = "swe7", .max = 1, .lacks = 0x7f, .runs = swe7_runs },
	{ .name = "tis620", .max = 1, .runs = tis620_runs, .spans = tis620_spans },
	{ .name = NULL },
};
