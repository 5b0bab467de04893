/* Stands in for QEMU: the trace plugin, and the functions of QEMU that it calls. Standard input has one event a line:
 *   run BLOCK              the block at address 4096 * BLOCK, of 2 instructions, is executed
 *   load|store BLOCK ADDRESS SHIFT   it accesses 1 << SHIFT bytes
 *   clock, begin, end      the guest reads the clock, or marks an inference
 */
#include "trace_plugin.c"

enum { BLOCKS = 8 };

struct qemu_plugin_tb {
    uint64_t number;
    uint64_t *counter;
    struct block *block;
};

static struct qemu_plugin_tb tbs[BLOCKS], *translated;
static qemu_plugin_tb_trans_cb translate;
static qemu_plugin_syscall_cb system_call;
static qemu_plugin_exit_cb at_exit;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_tb_trans_cb cb)
{
    (void)id;
    translate = cb;
}

void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t id, qemu_plugin_syscall_cb cb)
{
    (void)id;
    system_call = cb;
}

void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, qemu_plugin_exit_cb cb, void *data)
{
    (void)id, (void)data;
    at_exit = cb;
}

void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, enum qemu_plugin_op op, void *counter,
                                              uint64_t immediate)
{
    (void)op, (void)immediate;
    tb->counter = counter;
}

void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, qemu_plugin_mem_cb cb,
                                      enum qemu_plugin_cb_flags flags, enum qemu_plugin_mem_rw rw, void *data)
{
    (void)insn, (void)cb, (void)flags, (void)rw;
    translated->block = data;
}

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb)
{
    (void)tb;
    return 2;
}

uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb)
{
    return 4096 * tb->number;
}

struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index)
{
    (void)tb, (void)index;
    return NULL;
}

const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn)
{
    static const uint32_t add = 0x8b020020; /* add x0, x1, x2 */
    (void)insn;
    return &add;
}

/* `info` is the shift, and 256 for a store. */
unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info)
{
    return info & 255;
}

bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info)
{
    return info & 256;
}

static void call(int64_t number, uint64_t argument)
{
    system_call(0, 0, number, argument, 0, 0, 0, 0, 0, 0, 0);
}

int main(int argc, char **argv)
{
    const qemu_info_t info = {.target_name = "aarch64"};
    char word[16];
    if (qemu_plugin_install(0, &info, argc - 1, argv + 1))
        return 1;
    for (uint64_t i = 0; i < BLOCKS; i++) {
        translated = &tbs[i];
        translated->number = i;
        translate(0, translated);
    }
    while (scanf("%15s", word) == 1) {
        unsigned number = 0, shift = 0;
        uint64_t address = 0;
        if (!strcmp(word, "begin") || !strcmp(word, "end")) {
            call(MARKER, word[0] == 'b');
        } else if (!strcmp(word, "clock")) {
            call(CLOCK_GETTIME, 0);
        } else if (scanf("%u", &number) != 1 || number >= BLOCKS) {
            return 2;
        } else if (!strcmp(word, "run")) {
            ++*tbs[number].counter;
        } else if (scanf("%" SCNu64 "%u", &address, &shift) == 2) {
            on_memory(0, shift | (word[0] == 's' ? 256 : 0), address, tbs[number].block);
        }
    }
    at_exit(0, NULL);
    return 0;
}
