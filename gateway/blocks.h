/* Memory for nghttp2's small and short-lived blocks: freed ones are kept by size and given out again, which costs a
 * fraction of malloc when hundreds of streams come and go together. Loop lane. */
#pragma once

#include <nghttp2/nghttp2.h>

/* For nghttp2_session_…_new3. Every session of the process may share it.
 *
 * A session is born with a buffer of 16 KiB that frames are packed into. What is in it is of no interest once
 * nghttp2_session_mem_send has returned and the bytes are copied, which h2_output does at once, and callbacks never
 * leave a frame half sent: so all sessions are given the same one, and an idle connection costs nothing for it. */
nghttp2_mem *blocks_mem(void);
/* Around the making of a session. */
void blocks_session_begin(void);
void blocks_session_end(void);
/* Gives back to the system what is kept; blocks in use stay valid. */
void blocks_trim(void);
