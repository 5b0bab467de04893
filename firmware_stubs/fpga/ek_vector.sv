// The vector unit: four channels per cycle. Every activation goes through a table of 256 numbers of 32 bits; the numbers
// of one result are added, multiplied, or the largest is kept. Latency: 6 cycles.
module ek_vector (
    input  logic         clk,
    // Tables: two per lane, alike in all lanes
    input  logic         table_valid,
    input  logic [8:0]   table_at,
    input  logic [31:0]  table_data,
    input  logic         valid,
    input  logic         first,
    input  logic         last,
    input  logic         operand,    // which table
    input  logic         largest,
    input  logic         multiplies,
    input  logic [31:0]  activations,
    output logic         out_valid,
    output logic [127:0] out
);
  logic valid1, valid2, valid3, first1, first2, first3, last1, last2, last3, operand1, operand2, done, done_then;
  always_ff @(posedge clk) begin
    {valid1, valid2, valid3} <= {valid, valid1, valid2};
    {first1, first2, first3} <= {first, first1, first2};
    {last1, last2, last3} <= {last, last1, last2};
    {operand1, operand2} <= {operand, operand1};
    done <= valid3 && last3;
    done_then <= done;
    out_valid <= done_then;
  end
  genvar l;
  generate
    for (l = 0; l < 4; l++) begin : g_lane
      logic [31:0] read0, read1, then0, then1;
      logic signed [31:0] value, result, result_then, shown;
      logic signed [8:0] prior, a, b;  // a, b: the multiplier's own registers
      logic signed [17:0] product;
      ek_ram #(.WIDTH(32), .DEPTH(256)) table0 (
          .clk(clk),
          .write(table_valid && !table_at[8]),
          .waddr(table_at[7:0]),
          .wdata(table_data),
          .read(1'b1),
          .raddr(activations[8*l+:8]),
          .rdata(read0)
      );
      ek_ram #(.WIDTH(32), .DEPTH(256)) table1 (
          .clk(clk),
          .write(table_valid && table_at[8]),
          .waddr(table_at[7:0]),
          .wdata(table_data),
          .read(1'b1),
          .raddr(activations[8*l+:8]),
          .rdata(read1)
      );
      always_ff @(posedge clk) begin
        then0 <= read0;
        then1 <= read1;
        value <= operand2 ? then1 : then0;
        if (valid3) begin
          prior <= value[8:0];
          if (first3) result <= value;
          else if (largest) result <= value < result ? result : value;
          else result <= result + value;
        end
        a <= prior;
        b <= value[8:0];
        product <= a * b;
        result_then <= result;
        shown <= multiplies ? 32'(product) : result_then;
      end
      assign out[32*l+:32] = shown;
    end
  endgenerate
endmodule
