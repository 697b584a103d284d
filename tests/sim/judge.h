/* What must hold, whatever happened: a table of sentences, each with the query that finds its offenders in the
 * databases and in what people remember. */
#pragma once

#include "tests/sim/shop.h"

/* Asks everything that holds at every moment, or, when the world is quiet, everything. Returns how many
 * sentences do not hold, whose offenders are told as violations of the shop; without tell 1 is enough to know. -1: a
 * database cannot be read now. */
int judge(struct shop *shop, bool at_rest, bool tell);
/* Whether that one holds now; false also if a database cannot be read. */
bool judge_one(struct shop *shop, const char *sentence);
/* Lets go of the databases, which are kept open in between. */
void judge_close(struct shop *shop);
