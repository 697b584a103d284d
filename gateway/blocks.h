/* Memory for nghttp2's small and short-lived blocks: freed ones are kept by size and given out again, which costs a
 * fraction of malloc when hundreds of streams come and go together. Loop lane. */
#pragma once

#include <nghttp2/nghttp2.h>

/* For nghttp2_session_…_new3. Every session of the process may share it. */
nghttp2_mem *blocks_mem(void);
/* Gives back to the system what is kept; blocks in use stay valid. */
void blocks_trim(void);
