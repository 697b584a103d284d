/* Makes an API key, and the line that the gateway's file of accounts gets (gateway/accounts.h). The key itself is shown
 * once and kept nowhere. */
#include "omsctl/commands.h"
#include "omsctl/show.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECRET_BYTES 32
#define KEY_MAX      160

static int make_key(const char *id, char ret_key[KEY_MAX], char ret_hash[65])
{
    uint8_t secret[SECRET_BYTES], digest[32];
    char text[SECRET_BYTES * 2];
    if (RAND_bytes(secret, sizeof(secret)) != 1)
        return -EIO;
    EVP_EncodeBlock((unsigned char *)text, secret, sizeof(secret));
    for (char *c = text; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    text[strcspn(text, "=")] = '\0';
    snprintf(ret_key, KEY_MAX, "omk_%s.%s", id, text);
    OPENSSL_cleanse(secret, sizeof(secret));
    if (EVP_Digest(ret_key, strlen(ret_key), digest, NULL, EVP_sha256(), NULL) != 1)
        return -EIO;
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(ret_hash + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

/* In one write, so that nobody reads half a line. A last line that has no end gets one. line begins with an end. */
static int append(const char *path, const char *line)
{
    char last = '\n';
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    off_t end = lseek(fd, 0, SEEK_END);
    if (end > 0 && pread(fd, &last, 1, end - 1) != 1)
        last = '\n';
    line += last == '\n';
    size_t len = strlen(line);
    ssize_t n = write(fd, line, len);
    int r = n == (ssize_t)len && fsync(fd) == 0 ? 0 : n < 0 ? -errno : -EIO;
    close(fd);
    return r;
}

static bool is_word(const char *text)
{
    return text && *text && strcspn(text, " \t\r\n\"#") == strlen(text);
}

int run_apikey_create(struct ctl *ctl)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *id = ctl->args[0], *subject = cli_flag(ctl, "sub"), *role = cli_flag(ctl, "role");
    const char *expires = cli_flag(ctl, "expires"), *from = cli_flag(ctl, "from"), *file = cli_flag(ctl, "accounts");
    if (strlen(id) >= 64 || strspn(id, letters) != strlen(id) || !*id)
        return cli_usage("an API key's ID is 1 to 63 letters, digits, - and _");
    if (!is_word(subject) || !is_word(role) || (expires && !is_word(expires)) || (from && !is_word(from)))
        return cli_usage("an API key needs --sub and --role; what is said is one word each");
    char key[KEY_MAX], hash[65];
    int r = make_key(id, key, hash);
    if (r < 0)
        return cli_usage("there is no chance to make a key from");
    char *line =
        arena_printf(&ctl->arena, "\nkey %s %s subject=%s roles=%s%s%s%s%s\n", id, hash, subject, role,
                     expires ? " expires=" : "", expires ? expires : "", from ? " from=" : "", from ? from : "");
    if (file && (r = append(file, line)) < 0)
        return cli_usage("%s cannot be written: %s", file, strerror(-r));
    line[strlen(line) - 1] = '\0';
    if (ctl->json) {
        show_json(json_pack("{s:s, s:s}", "key", key, "account", line + 1));
    } else {
        puts(key);
        if (!file)
            printf("%s\n", line + 1);
    }
    OPENSSL_cleanse(key, sizeof(key));
    return CTL_OK;
}
