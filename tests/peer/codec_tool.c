/* The codecs and k-means on files of raw numbers, for comparing them with another program's:
 *
 *   codec_tool train FACTORY D ITERATIONS SEED ROWS PARAMETERS      rows f32[n][d] in, the codec's arrays out
 *   codec_tool code FACTORY D ROWS PARAMETERS CODES DECODED         rows and arrays in, codes and decoded rows out
 *   codec_tool kmeans METRIC K D ITERATIONS SEED ROWS CENTROIDS     rows in, centroids f32[k][d] out */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "cluster/kmeans.h"
#include "codec/factory.h"

static void stop_if(int failed, const char *what)
{
    if (failed) {
        (void)fprintf(stderr, "codec_tool: %s: %s\n", what, ivf_error_last()->text);
        exit(1);
    }
}

static int number(const char *text)
{
    int64_t value = 0;
    stop_if(!ivf_parse_i64(text, &value), text);
    return ivf_to_int(value);
}

static void *read_all(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    stop_if(file == NULL || fseek(file, 0, SEEK_END) != 0, path);
    *bytes = (size_t)ftell(file);
    rewind(file);
    void *data = ivf_new(*bytes, 1);
    stop_if(data == NULL || fread(data, 1, *bytes, file) != *bytes, path);
    (void)fclose(file);
    return data;
}

static void write_all(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    stop_if(file == NULL || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0, path);
}

static float *read_rows(const char *path, int d, int64_t *n)
{
    size_t bytes;
    float *rows = read_all(path, &bytes);
    stop_if(bytes % ((size_t)d * sizeof *rows) != 0, path);
    *n = (int64_t)(bytes / ((size_t)d * sizeof *rows));
    return rows;
}

static ivf_codec *codec_new(const char *text, int d)
{
    ivf_factory factory;
    ivf_codec *codec;
    stop_if(ivf_factory_parse(text, &factory), text);
    stop_if(ivf_codec_new(&factory.codec, d, &codec), text);
    return codec;
}

/* The codec's arrays, one after the other. */
static size_t parameter_bytes(ivf_codec *codec)
{
    ivf_array arrays[IVF_CODEC_ARRAYS];
    int count = ivf_codec_arrays(codec, arrays);
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += ivf_array_bytes(&arrays[i]);
    return bytes;
}

static void move_parameters(ivf_codec *codec, char *file, int from_codec)
{
    ivf_array arrays[IVF_CODEC_ARRAYS];
    int count = ivf_codec_arrays(codec, arrays);
    for (int i = 0; i < count; i++) {
        size_t bytes = ivf_array_bytes(&arrays[i]);
        if (from_codec)
            memcpy(file, arrays[i].data, bytes);
        else
            memcpy(arrays[i].data, file, bytes);
        file += bytes;
    }
}

static void train(char **args)
{
    int64_t n;
    int d = number(args[1]);
    float *rows = read_rows(args[4], d, &n);
    ivf_codec *codec = codec_new(args[0], d);
    ivf_codec_training training = {.iterations = number(args[2]), .seed = (uint64_t)number(args[3])};
    stop_if(ivf_codec_train_local(codec, rows, n, &training), "training");
    size_t bytes = parameter_bytes(codec);
    char *parameters = ivf_new(bytes, 1);
    move_parameters(codec, parameters, 1);
    write_all(args[5], parameters, bytes);
    ivf_free(parameters);
    ivf_codec_free(codec);
    ivf_free(rows);
}

static void code(char **args)
{
    int64_t n;
    size_t bytes;
    int d = number(args[1]);
    float *rows = read_rows(args[2], d, &n);
    ivf_codec *codec = codec_new(args[0], d);
    char *parameters = read_all(args[3], &bytes);
    stop_if(bytes != parameter_bytes(codec), args[3]);
    move_parameters(codec, parameters, 0);
    stop_if(ivf_codec_ready(codec), "parameters");
    size_t size = ivf_codec_code_size(codec);
    uint8_t *codes = ivf_new((size_t)n, size);
    void *scratch = ivf_new(ivf_codec_encode_scratch(codec, n), 1);
    ivf_codec_encode(codec, rows, n, codes, scratch);
    write_all(args[4], codes, (size_t)n * size);
    ivf_codec_decode(codec, codes, n, rows);
    write_all(args[5], rows, (size_t)n * (size_t)d * sizeof *rows);
    ivf_free(scratch);
    ivf_free(codes);
    ivf_free(parameters);
    ivf_codec_free(codec);
    ivf_free(rows);
}

static void kmeans(char **args)
{
    int64_t n;
    ivf_kmeans_report report;
    ivf_kmeans_params params = {.k = number(args[1]),
                                .d = number(args[2]),
                                .iterations = number(args[3]),
                                .seed = (uint64_t)number(args[4]),
                                .stream = IVF_RNG_KMEANS};
    stop_if(!ivf_metric_parse(args[0], &params.metric), args[0]);
    float *rows = read_rows(args[5], params.d, &n);
    size_t values = (size_t)params.k * (size_t)params.d;
    float *centroids = ivf_new(values, sizeof *centroids);
    stop_if(ivf_kmeans(&params, rows, n, centroids, &report), "k-means");
    write_all(args[6], centroids, values * sizeof *centroids);
    ivf_free(centroids);
    ivf_free(rows);
}

int main(int argc, char **argv)
{
    if (argc == 8 && strcmp(argv[1], "train") == 0)
        train(argv + 2);
    else if (argc == 8 && strcmp(argv[1], "code") == 0)
        code(argv + 2);
    else if (argc == 9 && strcmp(argv[1], "kmeans") == 0)
        kmeans(argv + 2);
    else
        return 2;
    return 0;
}
