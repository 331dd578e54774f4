/* SPDX-License-Identifier: BSD-2-Clause */
/* Names as they are shown. What is UTF-8, libc's iconv says. */
#include "daemon/text.h"

#include <iconv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check_main.h"

enum { RANDOM = 200000 };

static bool is_utf8(char *text)
{
    iconv_t to = iconv_open("UCS-4LE", "UTF-8");
    uint32_t out[128];
    char *at = (char *)out;
    size_t left = strlen(text), room = sizeof(out), rc;

    ck_assert(to != (iconv_t)-1);
    rc = iconv(to, &text, &left, &at, &room);
    iconv_close(to);
    return rc != (size_t)-1;
}

static void check_clean(const char *text, const char *expected)
{
    char *clean = text_clean(text);

    ck_assert_str_eq(clean, expected);
    free(clean);
}

START_TEST(what_is_kept)
{
    check_clean("", "");
    check_clean("trace, 100% <\"'&>", "trace, 100% <\"'&>");
    check_clean("\u00e4\u20ac\u4e16\U0001f980", "\u00e4\u20ac\u4e16\U0001f980");
}
END_TEST

START_TEST(what_is_replaced)
{
    check_clean("a\x1b[31mb\n", "a\ufffd[31mb\ufffd");
    check_clean("\u202etxet", "\ufffdtxet");       /* written from right to left */
    check_clean("a\u200b\u0301", "a\ufffd\ufffd"); /* no width */
    check_clean("\xc0\xaf", "\ufffd");             /* longer than need be */
    check_clean("\xed\xa0\x80", "\ufffd");         /* half a pair */
    check_clean("\xf4\x90\x80\x80", "\ufffd");     /* beyond the last */
    check_clean("\xe2\x82", "\ufffd\ufffd");       /* ends within */
    check_clean("\xe2\x82"
                "a\xff\x80",
                "\ufffd\ufffd"
                "a\ufffd\ufffd");
    check_clean("\ufffe\U000e0041", "\ufffd\ufffd");
}
END_TEST

/* Whatever it is, what comes out is UTF-8, and cleaning it once more changes nothing. */
START_TEST(any_bytes)
{
    static const unsigned char leads[] = {0xc0, 0xc2, 0xe0, 0xe2, 0xed,
                                          0xef, 0xf0, 0xf4, 0xf8, 0xff};
    char text[16] = "";

    srand(1);
    for (int round = 0; round < RANDOM; round++) {
        char *clean, *again;
        bool ok;

        for (size_t i = 0; i < sizeof(text) - 1; i++)
            text[i] = (char)(rand() % 3   ? 0x80 | rand()
                             : rand() % 2 ? leads[(size_t)rand() % sizeof(leads)]
                                          : 1 + rand() % 255);
        clean = text_clean(text);
        again = text_clean(clean);
        ok = is_utf8(clean) && strcmp(clean, again) == 0 && !strpbrk(clean, "\x1b\n\x7f");
        free(clean);
        free(again);
        if (!ok)
            ck_abort_msg("round %d", round);
    }
}
END_TEST

static Suite *text_suite(void)
{
    Suite *suite = suite_create("text");
    TCase *tc = tcase_create("text");

    tcase_add_test(tc, what_is_kept);
    tcase_add_test(tc, what_is_replaced);
    tcase_add_test(tc, any_bytes);
    suite_add_tcase(suite, tc);
    return suite;
}

CHECK_MAIN(text_suite)
