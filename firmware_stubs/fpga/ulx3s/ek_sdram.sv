// A controller for an SDRAM of 16 bits with 4 banks of 8192 rows of 512 columns (32 MB): MT48LC16M16A2, AS4C16M16SB,
// W9825G6KH. The read port is the accelerator's memory port with beats of 16 bits; the write port takes words of 32 bits.
//
// One row is open at a time; while requests hit it, a read is issued every cycle (bursts of one word). Rows are
// interleaved over the banks, so that a stream closes one row per KiB. Timing is that of the slowest of these parts
// (MT48LC16M16A2-75), rounded up to cycles; CAS latency 2 up to 100 MHz, 3 above. `in` is expected RETURN cycles after a
// command's register: one cycle of the pins' registers on each side, and the CAS latency.
module ek_sdram #(
    parameter int CLOCK_KHZ = 100000,
    parameter int WORD_AW = 21  // address of the write port's words
) (
    input  logic               clk,
    input  logic               rst,
    output logic               ready,  // the chip is initialised
    // Reads: byte addresses, answers in order
    input  logic               arvalid,
    output logic               arready,
    input  logic [31:0]        araddr,
    output logic               rvalid,
    input  logic               rready,
    output logic [15:0]        rdata,
    // Writes: one at a time
    input  logic               write,
    input  logic [WORD_AW-1:0] write_addr,
    input  logic [31:0]        write_data,
    output logic               writing,
    // The chip; `drive` is high from a cycle before the data until a cycle after it
    output logic               cke,
    output logic [2:0]         command,  // RAS, CAS, WE, active low
    output logic [12:0]        a,
    output logic [1:0]         ba,
    output logic [1:0]         dqm,
    output logic [15:0]        out,
    output logic               drive,
    input  logic [15:0]        in
);
  localparam int CL = CLOCK_KHZ > 100000 ? 3 : 2;
  localparam int RETURN = CL + 2;
  localparam int TRCD = (20 * CLOCK_KHZ + 999999) / 1000000;
  localparam int TRP = (20 * CLOCK_KHZ + 999999) / 1000000;
  localparam int TRC = (66 * CLOCK_KHZ + 999999) / 1000000;
  localparam int TRFC = (66 * CLOCK_KHZ + 999999) / 1000000;
  localparam int TRAS_MIN = (45 * CLOCK_KHZ + 999999) / 1000000;
  localparam int TRAS = TRAS_MIN + TRP < TRC ? TRC - TRP : TRAS_MIN;
  localparam int TMRD = 2;
  localparam int POWER_UP = 200 * CLOCK_KHZ / 1000 + 1;  // 200 us
  // 8192 refreshes in 64 ms; a refresh waits for the open row and a write, which takes fewer than 32 cycles.
  localparam int REFRESH = 7812 * (CLOCK_KHZ / 100) / 10000 - 32;
  localparam logic [2:0] NOP = 3'b111, ACTIVATE = 3'b011, READ = 3'b101, WRITE = 3'b100, PRECHARGE = 3'b010,
      REFRESH_ALL = 3'b001, MODE = 3'b000;
  localparam logic [12:0] ALL = 13'h400;  // A10: all banks
  localparam logic [12:0] MODES = 13'h200 | 13'(CL << 4);  // bursts of one word
  localparam int INITS = 10;  // precharge, eight refreshes, mode

  // Requests, and answers that have room
  logic asks, takes;
  logic [23:0] asked;
  ek_fifo #(.WIDTH(24), .DEPTH(256)) requests (
      .clk(clk), .rst(rst),
      .in_valid(arvalid), .in_ready(arready), .in_data(araddr[24:1]),
      .out_valid(asks), .out_ready(takes), .out_data(asked), .plenty(plenty[0])
  );
  logic [RETURN:0] coming;  // reads that are on their way; the last one's word is at `in`
  logic answers_ready, room;
  logic [1:0] plenty;
  ek_fifo #(.WIDTH(16), .DEPTH(256)) answers (
      .clk(clk), .rst(rst),
      .in_valid(coming[RETURN]), .in_ready(answers_ready), .in_data(in),
      .out_valid(rvalid), .out_ready(rready), .out_data(rdata), .plenty(plenty[1])
  );
  logic [7:0] kept;  // reads that were issued and whose words have not left
  always_ff @(posedge clk) begin
    if (rst) begin
      kept <= '0;
      room <= 1'b0;
    end else begin
      kept <= kept + 8'(takes) - 8'(rvalid && rready);
      room <= kept < 200;
    end
  end

  // One write
  logic [WORD_AW-1:0] w_addr;
  logic [31:0] w_data;
  logic [22:0] w_place;
  logic [2:0] w_step;  // 0: none; 1, 2: its halves; 3, 4: the pins are still driven, and tWR passes
  assign w_place = 23'(w_addr);
  always_ff @(posedge clk) begin
    if (write) begin
      w_addr <= write_addr;
      w_data <= write_data;
    end
    if (rst) writing <= 1'b0;
    else writing <= write || (writing && w_step != 2);
  end

  // What is to be done: a place is a row and a bank
  logic wanted, hit, open, quiet, closable, initialised, due;
  logic [14:0] place, opened;
  assign wanted = writing || (asks && room);
  assign place = writing ? w_place[22:8] : asked[23:9];
  assign hit = open && place == opened;
  logic [3:0] left, active_left;  // cycles until any command, and until a precharge may follow
  logic [3:0] init;
  logic [15:0] start_left;
  logic [10:0] refresh_left;
  assign quiet = left == 0;
  assign closable = active_left == 0;
  assign initialised = init == 4'(INITS);
  assign takes = ready && quiet && !due && !writing && w_step == 0 && asks && room && hit;
  assign ready = initialised;
  assign dqm = {2{!initialised}};

  always_ff @(posedge clk) begin
    // Data; an address bit keeps its value where it does not matter
    coming <= {coming[RETURN-1:0], takes};
    out <= w_step == 1 ? w_data[15:0] : w_data[31:16];
    drive <= w_step != 0;
    command <= NOP;
    if (rst) begin
      cke <= 1'b0;
      coming <= '0;
      a <= '0;
      ba <= '0;
      init <= '0;
      start_left <= 16'(POWER_UP);
      refresh_left <= 11'(REFRESH);
      due <= 1'b0;
      open <= 1'b0;
      opened <= '0;
      left <= '0;
      active_left <= '0;
      w_step <= '0;
      drive <= 1'b0;
    end else begin
      cke <= 1'b1;
      if (left != 0) left <= left - 1'b1;
      if (active_left != 0) active_left <= active_left - 1'b1;
      if (start_left != 0) start_left <= start_left - 1'b1;
      if (refresh_left != 0) refresh_left <= refresh_left - 1'b1;
      else begin
        refresh_left <= 11'(REFRESH - 1);
        due <= 1'b1;
      end
      if (w_step != 0) begin
        w_step <= w_step == 4 ? 3'd0 : w_step + 1'b1;
        if (w_step <= 2) begin
          command <= WRITE;
          a <= {4'b0, w_place[7:0], w_step[1]};
          ba <= opened[1:0];
        end
      end else if (start_left == 0 && quiet) begin
        if (!initialised) begin
          init <= init + 1'b1;
          command <= init == 0 ? PRECHARGE : init == 4'(INITS - 1) ? MODE : REFRESH_ALL;
          a <= init == 0 ? ALL : MODES;
          ba <= '0;
          left <= init == 0 ? 4'(TRP - 1) : init == 4'(INITS - 1) ? 4'(TMRD - 1) : 4'(TRFC - 1);
        end else if (!open) begin
          if (due) begin
            command <= REFRESH_ALL;
            due <= 1'b0;
            left <= 4'(TRFC - 1);
          end else if (wanted) begin
            command <= ACTIVATE;
            a <= place[14:2];
            ba <= place[1:0];
            open <= 1'b1;
            opened <= place;
            left <= 4'(TRCD - 1);
            active_left <= 4'(TRAS - 1);
          end
        end else if (due || (wanted && !hit)) begin
          if (closable) begin
            command <= PRECHARGE;
            a <= ALL;
            open <= 1'b0;
            left <= 4'(TRP - 1);
          end
        end else if (writing) begin
          if (coming == 0) w_step <= 3'd1;
        end else if (wanted) begin
          command <= READ;
          a <= {4'b0, asked[8:0]};
          ba <= opened[1:0];
        end
      end
    end
  end

  logic unused;
  assign unused = &{1'b0, plenty, araddr[31:25], araddr[0], answers_ready};

`ifdef EK_ASSERT
  always_ff @(posedge clk) if (!rst) begin
    assert (answers_ready || !coming[RETURN]);
    assert (!write || !writing);
  end
`endif
endmodule
