// An SDRAM of 16 bits, 4 banks of 8192 rows of 512 columns, that ends the simulation where a controller does not keep to
// its data sheet: the slowest figures of MT48LC16M16A2-75, AS4C16M16SB-7 and W9825G6KH-75. Only the first 8 MiB hold data.
//
// `settle` says when its outputs hold a read's word: at `clk`'s edge, by when the access time has passed for the slowest
// part, until shortly after. At other times they are wrong.
module sdram_chip #(
    parameter int CLOCK_KHZ = 100000
) (
    input logic        clk,
    input logic        settle,
    input logic        cke,
    input logic        csn,
    input logic        rasn,
    input logic        casn,
    input logic        wen,
    input logic [12:0] a,
    input logic [1:0]  ba,
    input logic [1:0]  dqm,
    inout wire  [15:0] d
);
  localparam int NEVER = -1000000;
  logic [15:0] cells[1 << 22];
  logic [3:0] open;
  logic [12:0] rows[4];
  int now, powered, activated[4], precharged[4], written[4], refreshed, refreshes, modes, read_at, any_activated;
  int latency;
  logic [15:0] words[4];
  logic [3:0] reading;
  logic driven;
  initial begin
    now = 0;
    powered = NEVER;
    refreshed = NEVER;
    refreshes = 0;
    modes = NEVER;
    read_at = NEVER;
    any_activated = NEVER;
    latency = 0;
    open = '0;
    reading = '0;
    for (int n = 0; n < 4; n++) begin
      activated[n] = NEVER;
      precharged[n] = NEVER;
      written[n] = NEVER;
      rows[n] = '0;
      words[n] = '0;
    end
  end

  // Whether so many picoseconds have passed since a cycle
  function automatic logic passed(input int since, input int picoseconds);
    int cycles = now - since;
    return 64'(cycles) * 64'd1000000000 >= 64'(picoseconds) * 64'(CLOCK_KHZ);
  endfunction

  logic [2:0] command;
  logic [21:0] place;
  assign command = csn || !cke ? 3'b111 : {rasn, casn, wen};
  assign place = {rows[ba][10:0], ba, a[8:0]};

  always @(posedge clk) begin
    now <= now + 1;
    if (cke && powered == NEVER) powered <= now;
    if (!cke) begin  // it must be initialised again
      powered <= NEVER;
      refreshes <= 0;
      latency <= 0;
    end
    reading <= {reading[2:0], 1'b0};
    words[3] <= words[2];
    words[2] <= words[1];
    words[1] <= words[0];
    if (cke) begin
      if (command != 3'b111 && (powered == NEVER || !passed(powered, 200000000))) $fatal(1, "power-up: a command after less than 200 us");
      if (latency != 0 && passed(refreshed, 7812500)) $fatal(1, "refresh: more than 7.8 us since the last");
      if (!passed(refreshed, 66000) && command != 3'b111) $fatal(1, "tRFC");
      if (now - modes < 2 && command != 3'b111) $fatal(1, "tMRD");
    end
    case (command)
      3'b011: begin  // activate
        if (latency == 0) $fatal(1, "activate before the mode is set");
        if (open[ba]) $fatal(1, "activate of an open bank");
        if (!passed(precharged[ba], 20000)) $fatal(1, "tRP: activate");
        if (!passed(activated[ba], 66000)) $fatal(1, "tRC");
        if (!passed(any_activated, 15000)) $fatal(1, "tRRD");
        open[ba] <= 1'b1;
        rows[ba] <= a;
        activated[ba] <= now;
        any_activated <= now;
      end
      3'b101, 3'b100: begin  // read, write
        if (!open[ba]) $fatal(1, "a closed bank is read or written");
        if (!passed(activated[ba], 20000)) $fatal(1, "tRCD");
        if (a[10]) $fatal(1, "no automatic precharge is expected");
        if (rows[ba] >= 2048) $fatal(1, "beyond the first 8 MiB");
        if (dqm != 0) $fatal(1, "masked data");
        if (wen) begin
          reading[0] <= 1'b1;
          words[0] <= cells[place];
          read_at <= now;
        end else begin
          if (now - read_at <= latency + 1) $fatal(1, "a write meets a read's word");
          cells[place] <= d;
          written[ba] <= now;
        end
      end
      3'b010: begin  // precharge
        for (int n = 0; n < 4; n++)
          if (a[10] || ba == 2'(n)) begin
            if (open[n] && !passed(activated[n], 45000)) $fatal(1, "tRAS");
            if (!passed(written[n], 15000) || now - written[n] < 2) $fatal(1, "tWR");
            open[n] <= 1'b0;
            precharged[n] <= now;
          end
      end
      3'b001: begin  // refresh
        if (open != 0) $fatal(1, "refresh with an open bank");
        for (int n = 0; n < 4; n++) if (!passed(precharged[n], 20000)) $fatal(1, "tRP: refresh");
        refreshed <= now;
        refreshes <= refreshes + 1;
      end
      3'b000: begin  // mode
        if (open != 0) $fatal(1, "mode with an open bank");
        if (refreshes < 8) $fatal(1, "mode after fewer than eight refreshes");
        if (ba != 0 || a[12:10] != 0 || a[8:7] != 0 || a[3:0] != 0) $fatal(1, "mode %h: not bursts of one word", a);
        if (!(a[6:4] == 3 || (a[6:4] == 2 && CLOCK_KHZ <= 100000))) $fatal(1, "CAS latency %0d", a[6:4]);
        modes <= now;
        latency <= 32'(a[6:4]);
      end
      3'b110: $fatal(1, "burst stop");
      default: ;
    endcase
  end

  assign driven = latency == 2 ? reading[1] : latency == 3 ? reading[2] : 1'b0;
  // A read's word appears a cycle after the edge from which it is driven: by then the access time has passed.
  logic late_driven;
  logic [15:0] late;
  always @(posedge clk) begin
    late_driven <= driven;
    late <= latency == 3 ? words[2] : words[1];
  end
  assign d = late_driven ? (settle ? late : ~late) : 16'hzzzz;
endmodule
