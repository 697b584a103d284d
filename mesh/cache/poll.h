/* hiredis on a libuv loop. */
#pragma once

struct redisAsyncContext;
struct uv_loop_s;

/* The context's file descriptor is watched from now on, until the context is freed. 0 or a negative errno. */
int poll_attach(struct uv_loop_s *loop, struct redisAsyncContext *context);
