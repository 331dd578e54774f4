/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the command line. */
#ifndef XENGASP_CLI_CLI_H
#define XENGASP_CLI_CLI_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "space/range.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 64, EXIT_CONFIG = 65 };

/* Each takes what follows "xengasp", itself first, and returns the exit status. */
int command_check(int argc, char **argv);
int command_create(int argc, char **argv);
int command_list(int argc, char **argv);
int command_map(int argc, char **argv);
int command_stop(int argc, char **argv);
int command_vdevs(int argc, char **argv);

/* "xengasp: ..." on stderr; returns EXIT_FAILED. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same and where help is; returns EXIT_USAGE. */
int usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Options of a command that has -h, and unless output is NULL --output: *output is the last of the
 * formats that it knows, then the one that was chosen, OUTPUT_TEXT without. Prints `help` for -h.
 * 0: go on at argv[optind], with `operands` of them (-1: any number, also none); else *status_r is
 * the exit status.
 */
enum output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_SVG };
int simple_options(int argc, char **argv, const char *help, int operands, enum output *output,
                   int *status_r);

/* ---- services (client.c) ---- */

/* The domains that have a service's socket, ascending, the caller's; -1: failed, said so. */
int services_list(uint32_t **domid_r, size_t *n_r);

/* A service by its guest's name or number. 0, or -1: said so. */
int service_find(const char *text, uint32_t *domid_r);

/* Asks a service; the reply is the caller's. NULL: failed, said so. */
struct json_object *service_ask(uint32_t domid, const char *command);

/* Asks it to stop and waits until it has ended. 0, or -1: said so. */
int service_stop(uint32_t domid);

/* Parts of a reply; 0, "" and NULL where there are none. */
uint64_t json_number(struct json_object *object, const char *key);
const char *json_text(struct json_object *object, const char *key);
struct json_object *json_part(struct json_object *object, const char *key);
/* Prints a reply for programs. */
void json_print(struct json_object *object);

/* ---- regions (show.c) ---- */

struct range json_range(struct json_object *object); /* of its "first" and "last" */
/* Prints a name as text_clean has it. */
void print_name(const char *name);
/* "64K", "128M", or bytes. */
const char *size_text(uint64_t size, char text[24]);
/* How a map's region answers, a character for reading, writing and executing each: r, w, x go to
 * memory; R, W, X to the vdev; - nowhere. */
enum { ACCESS_TEXT = 4 };
const char *access_text(struct json_object *flags, char text[ACCESS_TEXT]);
bool json_has(struct json_object *strings, const char *string);

/* ---- map as a picture (picture.c) ---- */

/* Writes the reply to "map" as an SVG. 0, or -1: no memory. */
int picture_print(struct json_object *map, FILE *out);

#endif
