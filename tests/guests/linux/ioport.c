/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One access to an I/O port of an x86 guest:
 *   ioport in SIZE PORT            prints what was read
 *   ioport out SIZE PORT VALUE
 * SIZE is 1, 2 or 4 bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>

static int usage(void)
{
    fprintf(stderr, "usage: ioport in SIZE PORT | ioport out SIZE PORT VALUE\n");
    return 2;
}

static unsigned read_port(unsigned long size, unsigned short port)
{
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

static void write_port(unsigned long size, unsigned short port, unsigned value)
{
    if (size == 1)
        outb((unsigned char)value, port);
    else if (size == 2)
        outw((unsigned short)value, port);
    else
        outl(value, port);
}

int main(int argc, char **argv)
{
    int reading = argc == 4 && !strcmp(argv[1], "in");
    int writing = argc == 5 && !strcmp(argv[1], "out");
    unsigned long size, port;

    if (!reading && !writing)
        return usage();
    size = strtoul(argv[2], NULL, 0);
    port = strtoul(argv[3], NULL, 0);
    if ((size != 1 && size != 2 && size != 4) || port > 0xffff)
        return usage();
    if (iopl(3) < 0) {
        perror("ioport: iopl");
        return 1;
    }
    if (reading)
        printf("0x%x\n", read_port(size, (unsigned short)port));
    else
        write_port(size, (unsigned short)port, (unsigned)strtoul(argv[4], NULL, 0));
    return 0;
}
