/* What the server tells of its API. */
#pragma once

#include "omsctl/cli.h"

#include "google/protobuf/descriptor.pb-c.h"

typedef Google__Protobuf__FileDescriptorProto File;
typedef Google__Protobuf__FileDescriptorSet FileSet;

/* The file that declares the symbol and all that it imports, in the run's arena. CTL_OK, or the exit code after the
 * error was shown. */
int ask_files(struct ctl *ctl, const char *symbol, FileSet *ret_set);
