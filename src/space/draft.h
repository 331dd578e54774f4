/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this room share. */
#ifndef XENGASP_SPACE_DRAFT_H
#define XENGASP_SPACE_DRAFT_H

#include "space/space.h"

/* Sees to it that the rows hold so many cells, and that so many may be dropped. False: no memory,
 * and nothing changed. */
bool draft_make_room(struct space_map *draft, size_t cells, size_t dropped);

#endif
