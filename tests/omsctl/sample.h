/* Where the files of dev/sample are, for tests that read them. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

/* Valid until the next call. */
static inline const char *sample_path(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/%s", getenv("SAMPLE_DIR"), name);
    return path;
}
