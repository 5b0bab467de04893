// A serial line as master of an AXI4-Lite bus and of a memory's write port; 8 data bits, no parity, one stop bit.
//
// Commands, numbers little-endian: 0x57 'W', address (3 bytes), word (4 bytes) writes; 0x52 'R', address (3 bytes) reads
// and answers with the word (4 bytes). Addresses from 0x800000 on are the memory's. Other bytes are ignored where a
// command should begin.
module ek_uart #(
    parameter int CYCLES = 868,  // of a bit
    parameter int MEM_AW = 15    // of the memory's words of 32 bits
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              rx,
    output logic              tx,
    output logic              awvalid,
    input  logic              awready,
    output logic [19:0]       addr,
    input  logic              wready,
    output logic [31:0]       wdata,
    output logic              arvalid,
    input  logic              arready,
    input  logic              rvalid,
    output logic              rready,
    input  logic [31:0]       rdata,
    output logic              memory_write,
    output logic [MEM_AW-1:0] memory_addr
);
  localparam int CW = $clog2(CYCLES + CYCLES / 2 + 1);
  // Receiver: samples in the middle of each bit
  logic [2:0] line;
  logic [CW-1:0] rx_wait;
  logic [3:0] rx_bit;
  logic [7:0] rx_byte;
  logic received, receiving;
  always_ff @(posedge clk) begin
    received <= 1'b0;
    if (rst) begin
      line <= 3'b111;
      receiving <= 1'b0;
      rx_wait <= '0;
      rx_bit <= '0;
      rx_byte <= '0;
    end else begin
      line <= {line[1:0], rx};
      if (!receiving) begin
        if (!line[2]) begin
          receiving <= 1'b1;
          rx_wait <= CW'(CYCLES + CYCLES / 2 - 2);
          rx_bit <= '0;
        end
      end else if (rx_wait != 0) rx_wait <= rx_wait - 1'b1;
      else begin
        rx_wait <= CW'(CYCLES - 1);
        rx_bit <= rx_bit + 1'b1;
        if (rx_bit < 8) rx_byte <= {line[2], rx_byte[7:1]};
        else begin
          receiving <= 1'b0;
          received <= line[2];  // a stop bit
        end
      end
    end
  end

  // Commands
  logic [55:0] taken;  // address and word
  logic [2:0] count;
  logic writing, active, sends;
  logic [31:0] answer;
  assign addr = taken[19:0];
  assign wdata = taken[55:24];
  assign memory_addr = taken[MEM_AW+1:2];
  assign rready = 1'b1;
  logic [2:0] most;
  assign most = writing ? 3'd7 : 3'd3;
  always_ff @(posedge clk) begin
    memory_write <= 1'b0;
    sends <= 1'b0;
    if (rst) begin
      active <= 1'b0;
      writing <= 1'b0;
      count <= '0;
      awvalid <= 1'b0;
      arvalid <= 1'b0;
      taken <= '0;
      answer <= '0;
    end else begin
      if (awready && wready) awvalid <= 1'b0;
      if (arready) arvalid <= 1'b0;
      if (rvalid) begin
        answer <= rdata;
        sends <= 1'b1;
      end
      if (received && !active) begin
        active <= rx_byte == 8'h57 || rx_byte == 8'h52;
        writing <= rx_byte == 8'h57;
        count <= '0;
      end else if (received) begin
        // A read's address ends where a write's does.
        if (writing) taken <= {rx_byte, taken[55:8]};
        else taken[23:0] <= {rx_byte, taken[23:8]};
        count <= count + 1'b1;
        if (count + 1'b1 == most) begin
          active <= 1'b0;
          if (!writing) arvalid <= 1'b1;
          else if (taken[31]) memory_write <= 1'b1;  // of the address the highest bit, before the last byte is in
          else awvalid <= 1'b1;
        end
      end
    end
  end

  // Transmitter: four bytes
  logic [39:0] tx_bits;
  logic [5:0] tx_left;
  logic [CW-1:0] tx_wait;
  assign tx = tx_left == 0 ? 1'b1 : tx_bits[0];
  always_ff @(posedge clk) begin
    if (rst) begin
      tx_left <= '0;
      tx_wait <= '0;
      tx_bits <= '1;
    end else if (sends) begin
      tx_bits <= {
        1'b1, answer[31:24], 1'b0, 1'b1, answer[23:16], 1'b0, 1'b1, answer[15:8], 1'b0, 1'b1, answer[7:0], 1'b0
      };
      tx_left <= 6'd40;
      tx_wait <= CW'(CYCLES - 1);
    end else if (tx_left != 0) begin
      if (tx_wait != 0) tx_wait <= tx_wait - 1'b1;
      else begin
        tx_wait <= CW'(CYCLES - 1);
        tx_left <= tx_left - 1'b1;
        tx_bits <= {1'b1, tx_bits[39:1]};
      end
    end
  end
endmodule
