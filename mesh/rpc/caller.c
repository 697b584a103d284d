/* Who calls, as the text that travels between processes: roles in hex, a semicolon, the subject. */
#include "mesh/rpc/rpc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool caller_is(const struct caller *caller, Mesh__V1__Role role)
{
    return caller->roles & ROLE_BIT(role);
}

void caller_format(const struct caller *caller, char ret_text[CALLER_SUBJECT_MAX + 16])
{
    snprintf(ret_text, CALLER_SUBJECT_MAX + 16, "%" PRIx32 ";%s", caller->roles, caller->subject);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool caller_parse(const char *text, struct caller *ret_caller)
{
    struct caller caller = { 0 };
    size_t digits = 0;
    for (; hex_digit(text[digits]) >= 0; digits++) {
        if (digits == 8)
            return false;
        caller.roles = caller.roles << 4 | (uint32_t)hex_digit(text[digits]);
    }
    if (digits == 0 || text[digits] != ';')
        return false;

    const char *subject = text + digits + 1;
    size_t len = strlen(subject);
    if (len >= CALLER_SUBJECT_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (subject[i] <= ' ' || subject[i] > '~')
            return false;
    memcpy(caller.subject, subject, len);
    *ret_caller = caller;
    return true;
}
