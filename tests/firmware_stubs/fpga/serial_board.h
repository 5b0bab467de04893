// A board in simulation that is spoken to by its serial line; MODEL is its class, CYCLES of a bit.
#pragma once
#include <cstdint>
#include <memory>

#define HEADER_OF(top) <top.h>
#define HEADER(top) HEADER_OF(top)
#include HEADER(MODEL)
#include "verilated.h"

class Board
{
  public:
    Board()
    {
        top_->clk = 0;
        top_->rx = 1;
        reset();
    }
    void reset()
    {
        top_->rst_n = 0;
        idle(4);
        top_->rst_n = 1;
        idle(START);
    }
#ifdef SDRAM
    // The SDRAM's clock rises three quarters of a cycle after the FPGA's. Its words are there from then on, for three
    // eighths of a cycle.
    void cycle()
    {
        top_->clk = 1;
        top_->eval();
        top_->settle = 0;
        top_->later = 0;
        top_->eval();
        top_->clk = 0;
        top_->eval();
        top_->later = 1;
        top_->settle = 1;
        top_->eval();
    }
#else
    void cycle()
    {
        top_->eval();
        top_->clk = 1;
        top_->eval();
        top_->clk = 0;
        top_->eval();
    }
#endif
    void idle(long cycles)
    {
        for (long i = 0; i < cycles; i++)
            cycle();
    }
    void line(bool high)
    {
        top_->rx = high;
    }
    bool line() const
    {
        return top_->tx;
    }
    bool ended() const
    {
        return top_->led;
    }

  private:
    std::unique_ptr<MODEL> top_{new MODEL};
};
