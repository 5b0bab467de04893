// A board in simulation behind a pseudo-terminal: prints the name of the terminal, then lets the board run.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include "serial_board.h"

int main()
{
    const int port = posix_openpt(O_RDWR | O_NOCTTY);
    if (port < 0 || grantpt(port) || unlockpt(port))
        return 2;
    const int kept = open(ptsname(port), O_RDWR | O_NOCTTY); // so that the terminal outlives its users
    termios raw;
    if (kept < 0 || tcgetattr(kept, &raw))
        return 2;
    cfmakeraw(&raw);
    if (tcsetattr(kept, TCSANOW, &raw))
        return 2;
    Board board;
    std::puts(ptsname(port));
    std::fflush(stdout);

    std::deque<bool> sending; // levels of the line, one per bit
    int level = 0, received = 0, bits = -1, wait = 0;
    for (long cycle = 0;; cycle++) {
        if (sending.empty() && cycle % 64 == 0) {
            pollfd ready{port, POLLIN, 0};
            unsigned char bytes[4096];
            if (poll(&ready, 1, 0) == 1) {
                const ssize_t count = read(port, bytes, sizeof bytes);
                for (ssize_t i = 0; i < count; i++) {
                    sending.push_back(false);
                    for (int bit = 0; bit < 8; bit++)
                        sending.push_back(bytes[i] >> bit & 1);
                    sending.push_back(true);
                }
            }
        }
        if (!sending.empty() && level == 0) {
            board.line(sending.front());
            sending.pop_front();
            level = CYCLES;
        }
        level -= level > 0;
        if (bits < 0 && !board.line()) {
            bits = received = 0;
            wait = CYCLES + CYCLES / 2;
        } else if (bits >= 0 && --wait == 0) {
            wait = CYCLES;
            if (bits < 8) {
                received |= board.line() << bits++;
            } else {
                const unsigned char byte = (unsigned char)received;
                bits = -1;
                if (write(port, &byte, 1) != 1)
                    return 2;
            }
        }
        board.cycle();
    }
}
