/* gRPC-Web, as PROTOCOL-WEB.md of grpc/grpc has it: gRPC's frames, and the trailers as a last one with the highest bit
 * of its flags set, in HTTP/1's words. application/grpc-web-text is the same in base64, where every piece may be padded
 * on its own. Headers and trailers are not joined into one for replies without messages: the trailers always stand in
 * the body, where no browser hides them. */
#pragma once

#include "gateway/dialect.h"

extern const struct dialect grpc_web, grpc_web_text;
