/* What the Arduino sketch uses, as docs.arduino.cc declares it: enough to compile, not to run. */
#pragma once
#include <stddef.h>
#include <stdint.h>
struct Stream {
    void begin(unsigned long baud);
    void setTimeout(unsigned long milliseconds);
    size_t readBytes(char *buffer, size_t length);
    size_t print(const char *text);
    size_t print(double number, int digits = 2);
    size_t println(unsigned long number);
};
extern Stream Serial;
unsigned long micros();
void setup();
void loop();
