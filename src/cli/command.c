#include "cli/command.h"

#include "base/error.h"
#include "base/text.h"

#include <string.h>

static const ivf_command table[IVF_COMMAND_COUNT] = {
    [IVF_COMMAND_BUILD] =
        {"build", "build an index from vector files",
         "Trains lists and codec on a sample of the input, stores every row in the list of its nearest centroid, and "
         "commits the result as one version of the index. The ranks share the work; the index does not depend on their "
         "number. Nothing is visible before the commit.",
         "mpirun -n 4 mpivf build photos.ivf --input photos.u8bin --factory IVF256,PQ32"},
    [IVF_COMMAND_TRAIN] =
        {"train", "train lists and codec, and store no rows",
         "Does what build does up to the model, and commits a version that holds the model alone: for builds of other "
         "rows with --model, and for export. The same command continues one that was killed.",
         "mpirun -n 4 mpivf train model.ivf --input photos.u8bin --factory IVF256,PQ32"},
    [IVF_COMMAND_PLAN] =
        {"plan", "say what a build would do, and how long it would take",
         "Takes the options of build, checks the input and decides what build would: lists, sample, fragments. Makes "
         "no "
         "index. With --ranks it also predicts the seconds of each phase on that many ranks, from small builds that it "
         "times (a second or two, in a folder beside INDEX that it removes) and from the network, and says from how "
         "many ranks on more of them hardly help, and why.",
         "mpivf plan big.ivf --input 'vectors/*.fbin' --factory IVF65536,PQ32 --ranks 1,16,64,256"},
    [IVF_COMMAND_SEARCH] =
        {"search", "find the nearest rows of each query in an index",
         "Holds the index in the memory of the ranks, scans the --nprobe lists nearest to each query, and keeps the "
         "--k nearest rows. Distances are squared Euclidean distances, inner products, or 1 - cosine.",
         "mpirun -n 4 mpivf search photos.ivf --queries query.u8bin --k 10 --nprobe 16 --output found.h5"},
    [IVF_COMMAND_EVAL] =
        {"eval", "measure recall and speed against known neighbours",
         "Searches with each number of lists and compares with the ground truth. recall@k by id is the share of the "
         "true k nearest that were found; by distance, rows as near as the true k-th count too. Each setting runs "
         "until three runs are done or half a second has passed; the speed is the median.",
         "mpirun -n 2 mpivf eval photos.ivf --queries query.u8bin --groundtruth gt100.bin --k 1,10 --nprobe 1,8,32"},
    [IVF_COMMAND_TUNE] =
        {"tune", "measure what recall costs, for search --recall",
         "Measures recall@k and speed of one setting of a search after the other, on queries whose neighbours are "
         "known: given with --groundtruth, or found by brute force in the files that were indexed; without --queries "
         "rows drawn from these serve as queries, each without itself. The settings that no other beats in both are "
         "kept in the manifest of a new version, whose fragments are those of the last one. Then search --recall takes "
         "the fastest that reached a recall. Speeds are this run's, with its ranks and threads.",
         "mpirun -n 2 mpivf tune photos.ivf --queries query.u8bin --groundtruth gt100.bin --k 10"},
    [IVF_COMMAND_EXACT] =
        {"exact", "find the nearest rows by brute force: ground truth",
         "Compares every query with every input row. The result serves eval as ground truth.",
         "mpirun -n 4 mpivf exact --input photos.u8bin --queries query.u8bin --k 100 --output gt100.bin"},
    [IVF_COMMAND_INFO] = {"info", "describe an index",
                          "Prints what the newest version of an index holds: rows, model, training, fragments, and how "
                          "evenly its lists are filled.",
                          "mpivf info photos.ivf --json"},
    [IVF_COMMAND_VERIFY] = {"verify", "check every file of an index",
                            "Reads every file of the newest version and compares it with its checksums and with the "
                            "account of rows in the manifest. Damage is named by file, fragment and list, and gives "
                            "exit code 5; repair mends what can be mended.",
                            "mpirun -n 4 mpivf verify photos.ivf"},
    [IVF_COMMAND_VACUUM] =
        {"vacuum", "remove what no version of an index needs",
         "Lists, and with --delete removes, old versions, unfinished builds that were given up, and files that no "
         "version names. Files of the versions that stay, of builds that are running, and of unfinished ones that are "
         "younger than --older-than are left alone.",
         "mpivf vacuum photos.ivf --keep 1 --delete"},
    [IVF_COMMAND_REPAIR] =
        {"repair", "make damaged fragments of an index again",
         "Verifies the newest version, makes the fragments that are damaged or missing again from the input, with the "
         "model that is there, and replaces each that comes out as the manifest says; those that compact made are "
         "merged again from the version before, as long as it is there. The ranks share the work. A damaged model or "
         "manifest cannot be repaired; what can be done instead is said.",
         "mpirun -n 4 mpivf repair photos.ivf"},
    [IVF_COMMAND_COMPACT] =
        {"compact", "merge an index's fragments list by list",
         "Makes a version of the index whose fragments have all rows of a range of lists each, so that a list lies in "
         "one place, or with --single-file one fragment with all lists. Finds and holds the same as the version "
         "before, "
         "which stays until mpivf vacuum removes it. The ranks share the work; the result does not depend on their "
         "number. Nothing is visible before the commit.",
         "mpirun -n 4 mpivf compact photos.ivf"},
    [IVF_COMMAND_GENERATE] =
        {"generate", "make synthetic vectors",
         "Writes a mixture of clusters of unequal size, each spread over a few directions of its own with some noise "
         "in all. A row depends on the seed and its number alone.",
         "mpirun -n 4 mpivf generate --output rows.fbin --rows 1000000 --dim 128 --queries 1000 --queries-output "
         "queries.fbin"},
    [IVF_COMMAND_EXPORT] =
        {"export", "write an index for other programs",
         "Writes the newest version of an index as a file that faiss.read_index opens, trained parts and codes bit by "
         "bit, so that FAISS finds the same neighbours: with its lists in the same file, or in one beside it that "
         "FAISS maps. Or writes the tree of centroids as a table that PostgreSQL loads and VectorChord builds an index "
         "from, or the model's arrays as .npy files. The ranks write one file together. For FAISS cosine becomes the "
         "inner product of rows of norm 1.",
         "mpirun -n 4 mpivf export photos.ivf --format faiss --output photos.faiss --nprobe 16"},
    [IVF_COMMAND_IMPORT] =
        {"import", "make an index of one that FAISS wrote",
         "Takes over an IVF index over flat rows, a scalar or a product quantizer, with or without OPQ before it, its "
         "lists in the file or in one of their own: centroids, trained parts and codes as they are, bit by bit. The "
         "result is committed like a build's.",
         "mpirun -n 4 mpivf import --format faiss photos.faiss photos.ivf"},
    [IVF_COMMAND_CONVERT] =
        {"convert", "write vectors or ground truth in another format",
         "Reads vectors in any format that build takes, of one file or many, and writes them as one file of another; "
         "the "
         "ranks read and write their parts of it. With --groundtruth it writes true neighbours in another layout.",
         "mpirun -n 4 mpivf convert --input shards --output rows.fbin"},
};

const ivf_command *ivf_command_get(ivf_command_id id)
{
    return &table[id];
}

int ivf_command_find(const char *name, ivf_command_id *id)
{
    const char *names[IVF_COMMAND_COUNT];
    for (int i = 0; i < IVF_COMMAND_COUNT; i++) {
        names[i] = table[i].name;
        if (strcmp(name, names[i]) == 0) {
            *id = (ivf_command_id)i;
            return MPIVF_OK;
        }
    }
    const char *nearest = ivf_text_nearest(name, names, IVF_COMMAND_COUNT);
    if (nearest != NULL)
        return ivf_fail(MPIVF_USAGE, "unknown command '%s'; did you mean '%s'?", name, nearest);
    return ivf_fail(MPIVF_USAGE, "unknown command '%s'; see mpivf --help", name);
}
