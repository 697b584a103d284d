/* Where peers are, from NAME=URL,… */
#include "mesh/base/say.h"
#include "mesh/outside/inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct scheme outside_schemes[] = {
    { "http://", OUTSIDE_CONNECTIONS_MAX, http_begin, http_abandon, http_close },
    { "https://", OUTSIDE_CONNECTIONS_MAX, http_begin, http_abandon, http_close },
    { "smtp://", OUTSIDE_MAILS_MAX, mail_begin, mail_abandon, mail_close },
    { "smtps://", OUTSIDE_MAILS_MAX, mail_begin, mail_abandon, mail_close },
    { "file://", OUTSIDE_FILES_MAX, file_begin, file_abandon, NULL, .folder = true },
    {},
};

static const struct scheme *find_scheme(const char *url)
{
    const struct scheme *scheme = outside_schemes;
    while (scheme->prefix && strncmp(url, scheme->prefix, strlen(scheme->prefix)) != 0)
        scheme++;
    return scheme->prefix ? scheme : NULL;
}

static int add_peer(struct outside *outside, const char *entry)
{
    const char *equals = strchr(entry, '=');
    const struct scheme *scheme = equals ? find_scheme(equals + 1) : NULL;
    struct peer *peer = &outside->peers[outside->n_peers];
    if (!scheme || equals == entry || (size_t)(equals - entry) >= sizeof(peer->name))
        return -EINVAL;
    const char *rest = equals + 1 + strlen(scheme->prefix);
    if (scheme->folder ? *rest != '/' : *rest == '/' || *rest == '\0')
        return -EINVAL;
    if (outside->n_peers == OUTSIDE_PEERS_MAX)
        return -E2BIG;

    *peer = (struct peer){ .outside = outside, .scheme = scheme, .waiting_end = &peer->waiting };
    memcpy(peer->name, entry, (size_t)(equals - entry));
    peer->base = strdup(scheme->folder ? rest : equals + 1);
    if (!peer->base)
        return -ENOMEM;
    outside->n_peers++;
    for (size_t n = strlen(peer->base); n > 1 && peer->base[n - 1] == '/'; n--)
        peer->base[n - 1] = '\0';

    char labels[96];
    snprintf(labels, sizeof(labels), "peer=\"%s\"", peer->name);
    peer->duration = metric_make(METRIC_HISTOGRAM, "mesh_outside_seconds", "Time of a fetch.", labels);
    peer->failed = metric_make(METRIC_COUNTER, "mesh_outside_failed_total", "Fetches without an answer.", labels);
    return scheme->folder ? file_open_folder(peer->base) : 0;
}

int outside_parse(struct outside *outside, const char *peers)
{
    char *copy = strdup(peers), *save = NULL;
    int r = copy ? 0 : -ENOMEM;
    for (char *entry = copy ? strtok_r(copy, ",", &save) : NULL; entry && r == 0; entry = strtok_r(NULL, ",", &save)) {
        r = add_peer(outside, entry);
        if (r < 0)
            say(SAY_ERROR, NULL, "outside wants NAME=URL with http, https, smtp, smtps, or file and a folder's path",
                SAY_T("entry", entry), SAY_T("error", strerror(-r)));
    }
    free(copy);
    return r == -ENOMEM || r == 0 ? r : -EINVAL;
}
