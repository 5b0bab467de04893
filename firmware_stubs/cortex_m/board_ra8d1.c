/* EK-RA8D1: 480 MHz from the 20 MHz crystal by PLL1P, 240 MHz for the buses, 4 wait states, SCI9 on PA14 and PA15 (the
   debugger's serial port) from SCICLK at 120 MHz.
   Sources: RA8D1 user's manual (R01UH0995): clock generation circuit, register write protection, low power modes, I/O
   ports, flash memory; EK-RA8D1 user's manual (R20UT5205): crystal, serial port. Never run on a board. */
#include "ek_port.h"
#include "ek_registers.h"

enum {
    FCACHE_FLWT = 0x4001c11c,
    SCKDIVCR = 0x4001e020,
    SCKDIVCR2 = 0x4001e024,
    SCKSCR = 0x4001e026,
    PLLCCR = 0x4001e028,
    PLLCR = 0x4001e02a,
    MOSCCR = 0x4001e032,
    OSCSF = 0x4001e03c,
    PLLCCR2 = 0x4001e04c,
    SCICKDIVCR = 0x4001e054,
    SCICKCR = 0x4001e055,
    MOSCWTCR = 0x4001e0a2,
    PRCR_S = 0x4001e3fa,
    MOMCR = 0x4001ea50,
    MSTPCRB = 0x40203004,
    PFS = 0x40400800,
    PWPR_S = 0x40400d14
};

static volatile uint8_t *byte_at(uint32_t address)
{
    return (volatile uint8_t *)(uintptr_t)address;
}

static void write8(uint32_t address, uint32_t value)
{
    *byte_at(address) = (uint8_t)value;
}

static void write16(uint32_t address, uint32_t value)
{
    *(volatile uint16_t *)(uintptr_t)address = (uint16_t)value;
}

static int wait8(uint32_t address, uint32_t mask, uint32_t value)
{
    for (uint32_t polls = 0; polls < EK_POLLS; polls++)
        if ((*byte_at(address) & mask) == value)
            return 1;
    return 0;
}

static int clocks(void)
{
    write8(MOMCR, 0x16);                 /* MODRV0: 8 to 24 MHz; MOSEL: crystal */
    write8(MOSCWTCR, 9);                 /* MSTS: until it is stable */
    write8(MOSCCR, 0);                   /* not MOSTP */
    if (!wait8(OSCSF, 1u << 3, 1u << 3)) /* MOSCSF */
        return 0;
    write8(PLLCR, 1);                         /* PLLSTP: only then it may be set */
    write16(PLLCCR, 95u << 8 | 1);            /* 20 MHz / 2 * 96 = 960 MHz; PLSRCSEL: the crystal */
    write16(PLLCCR2, 1u | 3u << 4 | 1u << 8); /* P: / 2, Q: / 4, R: / 2 */
    write8(PLLCR, 0);
    if (!wait8(OSCSF, 1u << 5, 1u << 5)) /* PLLSF */
        return 0;
    write8(FCACHE_FLWT, 4); /* for up to 240 MHz */
    if (!wait8(FCACHE_FLWT, 7, 4))
        return 0;
    /* FCK / 8, ICK / 2, PCKE / 2, BCK / 4, PCKA / 4, PCKB / 8, PCKC / 8, PCKD / 4; CPUCK / 1 */
    ek_write(SCKDIVCR, 3u << 28 | 1u << 24 | 1u << 20 | 2u << 16 | 2u << 12 | 3u << 8 | 3u << 4 | 2u);
    write8(SCKDIVCR2, 0);
    write8(SCKSCR, 5); /* CKSEL: PLL1P */
    if (!wait8(SCKSCR, 7, 5))
        return 0;
    write8(SCICKCR, *byte_at(SCICKCR) | 1u << 6); /* SCICKSREQ */
    if (!wait8(SCICKCR, 1u << 7, 1u << 7))        /* SCICKSRDY */
        return 0;
    write8(SCICKDIVCR, 2);        /* / 4 */
    write8(SCICKCR, 1u << 6 | 5); /* SCICKSEL: PLL1P */
    write8(SCICKCR, 5);
    return wait8(SCICKCR, 1u << 7, 0);
}

/* A pin becomes the SCI's: PmnPFS. */
static void pin(uint32_t port, uint32_t number)
{
    uint32_t address = PFS + 0x40 * port + 4 * number;
    ek_write(address, 0);
    ek_write(address, 5u << 24);            /* PSEL: SCI1, 3, 5, 7, 9 */
    ek_write(address, 5u << 24 | 1u << 16); /* PMR */
}

int ek_board_init(void)
{
    write16(PRCR_S, 0xa503); /* the key; PRC0, PRC1: clocks and low power modes */
    int fast = clocks();
    write16(PRCR_S, 0xa500);
    ek_change(MSTPCRB, 1u << 22, 0); /* SCI9 */
    (void)ek_read(MSTPCRB);
    write8(PWPR_S, 0);       /* not B0WI */
    write8(PWPR_S, 1u << 6); /* PFSWE */
    pin(10, 14);             /* TXD9 */
    pin(10, 15);             /* RXD9 */
    write8(PWPR_S, 0);
    write8(PWPR_S, 1u << 7); /* B0WI */
    return fast;
}
