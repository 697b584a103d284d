/* What must hold, whatever happened: a table of sentences, each with the query that finds its offenders in the
 * databases and in what people remember. */
#pragma once

#include "tests/sim/shop.h"

/* Asks everything that holds at every moment, or, when the world is quiet, everything. Offenders are told as violations
 * of the shop if tell; returns how many sentences do not hold, or -1 if a database cannot be read now. */
int judge(struct shop *shop, bool at_rest, bool tell);
/* Whether that one holds now; false also if a database cannot be read. */
bool judge_one(struct shop *shop, const char *sentence);
