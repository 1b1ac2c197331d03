/* cli/: the table of options and all that is made from it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/config.h"
#include "cli/help.h"
#include "cli/parse.h"

enum { MOST_WORDS = 48 };

static ivf_options options;
static ivf_request request;

/* Splits a line at blanks and parses it as the program's arguments. */
static int parse(const char *line)
{
    static char copy[512];
    static char program[] = "mpivf";
    char *argv[MOST_WORDS] = {program};
    int argc = 1;
    (void)snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    ivf_options_free(&options);
    ivf_error_clear();
    return ivf_parse(argc, argv, &request, &options);
}

static int parse_and_finish(const char *line)
{
    int rc = parse(line);
    return rc == MPIVF_OK ? ivf_options_finish(&options) : rc;
}

static void refuses(const char *line, const char *message)
{
    ck_assert_msg(parse_and_finish(line) == MPIVF_USAGE, "'%s' was accepted", line);
    ck_assert_str_eq(ivf_error_last()->text, message);
}

static int configure(const char *text)
{
    ivf_error_clear();
    return ivf_config_parse(&options, "c.yml", text, strlen(text));
}

/* As the configuration of `line`, which leaves out what the text gives. */
static void refuses_config(const char *line, const char *text, const char *message)
{
    ck_assert_int_eq(parse(line), MPIVF_OK);
    ck_assert_msg(configure(text) == MPIVF_USAGE, "'%s' was accepted", text);
    ck_assert_str_eq(ivf_error_last()->text, message);
}

static void check_row(ivf_option_id id)
{
    const ivf_option *option = ivf_option_get(id);
    ck_assert_ptr_nonnull(option->name);
    ck_assert_ptr_nonnull(option->help);
    ck_assert_uint_ne(option->commands, 0);
    ck_assert_msg((option->argument == NULL) == (option->type == IVF_TYPE_FLAG), "%s", option->name);
    ck_assert_msg((option->choices != NULL) == (option->type == IVF_TYPE_CHOICE), "%s", option->name);
    ck_assert_msg(!(option->required && option->fallback != NULL), "%s", option->name);
    for (int other = (int)id + 1; other < IVF_OPTION_COUNT; other++) {
        const ivf_option *o = ivf_option_get((ivf_option_id)other);
        if ((o->commands & option->commands) == 0)
            continue;
        ck_assert_str_ne(o->name, option->name);
        ck_assert_msg(o->letter == '\0' || o->letter != option->letter, "%s and %s", o->name, option->name);
    }
}

START_TEST(every_row_is_sound_and_alone)
{
    for (int id = 1; id < IVF_OPTION_COUNT; id++)
        check_row((ivf_option_id)id);
}
END_TEST

START_TEST(every_default_is_a_legal_value)
{
    for (int id = 1; id < IVF_OPTION_COUNT; id++) {
        const ivf_option *option = ivf_option_get((ivf_option_id)id);
        ivf_options o;
        ivf_options_init(&o, IVF_COMMAND_BUILD);
        if (option->fallback != NULL)
            ck_assert_msg(ivf_options_set(&o, (ivf_option_id)id, IVF_SOURCE_DEFAULT, option->name, &option->fallback,
                                          1) == MPIVF_OK,
                          "%s", ivf_error_last()->text);
        ivf_options_free(&o);
    }
}
END_TEST

START_TEST(values_come_from_the_command_line)
{
    ck_assert_int_eq(parse_and_finish("build -i a.npy --input=b.npy out.ivf --metric ip --iterations 3 -f IVF9,Flat "
                                      "--tolerance 1e-3 --replace --train-on all --train-mode exact --levels 2 "
                                      "--assign tree --assign-probes 12,50 --sample auto --fragment-rows 7"),
                     MPIVF_OK);
    ck_assert_int_eq(options.command, IVF_COMMAND_BUILD);
    const ivf_option_value *inputs = ivf_options_value(&options, IVF_OPTION_INPUT);
    ck_assert_int_eq(inputs->count, 2);
    ck_assert_str_eq(inputs->texts[0], "a.npy");
    ck_assert_str_eq(inputs->texts[1], "b.npy");
    ck_assert_str_eq(ivf_options_text(&options, IVF_OPTION_INDEX), "out.ivf");
    ck_assert_str_eq(ivf_options_text(&options, IVF_OPTION_METRIC), "ip");
    ck_assert_int_eq(ivf_options_integer(&options, IVF_OPTION_ITERATIONS), 3);
    ck_assert_int_eq(ivf_options_integer(&options, IVF_OPTION_SAMPLE), 0);
    ck_assert_int_eq(ivf_options_integer(&options, IVF_OPTION_FRAGMENT_ROWS), 7);
    ck_assert_double_eq(ivf_options_real(&options, IVF_OPTION_TOLERANCE), 1e-3);
    ck_assert(ivf_options_flag(&options, IVF_OPTION_REPLACE));
    ck_assert(!ivf_options_flag(&options, IVF_OPTION_JSON));
    ck_assert_ptr_null(ivf_options_text(&options, IVF_OPTION_IDS));
    ck_assert_int_eq(ivf_options_integer(&options, IVF_OPTION_PQ_ITERATIONS), 25);
}
END_TEST

START_TEST(lists_are_split_at_commas)
{
    ck_assert_int_eq(parse_and_finish("eval x --queries q --groundtruth g --k 1,10,100 --nprobe 4"), MPIVF_OK);
    const ivf_option_value *k = ivf_options_value(&options, IVF_OPTION_K_LIST);
    ck_assert_int_eq(k->count, 3);
    ck_assert_int_eq(k->integers[2], 100);
    ck_assert_int_eq(ivf_options_value(&options, IVF_OPTION_NPROBE_LIST)->count, 1);
    refuses("eval x --queries q --groundtruth g --k 1,,2", "--k: the value is empty");
    refuses("eval x --queries q --groundtruth g --k 1,0", "--k: 0 is out of range: 1 to 65536");
}
END_TEST

START_TEST(abbreviations_are_taken_when_they_can_mean_one_thing)
{
    ck_assert_int_eq(parse_and_finish("build x --input a --frag 5 --it 4"), MPIVF_OK);
    ck_assert_int_eq(ivf_options_integer(&options, IVF_OPTION_FRAGMENT_ROWS), 5);
    refuses("build x --i a", "--i is ambiguous: --input, --ids, --ids-dataset, --iterations");
    refuses("build x --input a --rep=yes", "--rep takes no value");
}
END_TEST

START_TEST(unknown_words_name_the_nearest_known_one)
{
    refuses("biuld x", "unknown command 'biuld'; did you mean 'build'?");
    refuses("frobnicate", "unknown command 'frobnicate'; see mpivf --help");
    refuses("build x --inptu a", "unknown option --inptu; did you mean --input?");
    refuses("build x --wxyzwxyz", "unknown option --wxyzwxyz; see mpivf build --help");
    refuses("build x -Z", "unknown option -Z; see mpivf build --help");
    refuses("--hlep", "unknown option --hlep; did you mean --help?");
    refuses("--quiet build", "unknown option --quiet before the command; see mpivf --help");
    ck_assert_int_eq(parse_and_finish("eval x --queries q --groundtruth g --nprobe 4,12/50,3/7/9"), MPIVF_OK);
    ck_assert_int_eq((int)ivf_options_value(&options, IVF_OPTION_NPROBE_LIST)->integers[2], 9);
    int64_t numbers[IVF_ENTRY_LEVELS];
    ck_assert_int_eq(ivf_options_levels("12/50", numbers), 2);
    ck_assert(numbers[0] == 12 && numbers[1] == 50);
    ck_assert_int_eq(ivf_options_levels("1/2/3/4/5/6/7/8/9", numbers), 0);
    refuses("eval x --queries q --groundtruth g --nprobe 4,12/,3",
            "--nprobe: '12/' is neither a whole number from 1 to 2147483647 nor several of them, as in 12/50");
    refuses("eval x --queries q --groundtruth g --nprobe 0/5",
            "--nprobe: '0/5' is neither a whole number from 1 to 2147483647 nor several of them, as in 12/50");
    refuses("info x --nprobe 3", "unknown option --nprobe; see mpivf info --help");
}
END_TEST

START_TEST(values_out_of_range_name_the_range)
{
    refuses("build x -i a --iterations 0", "--iterations: 0 is out of range: 1 to 1000");
    refuses("build x -i a --iterations 1001", "--iterations: 1001 is out of range: 1 to 1000");
    refuses("build x -i a --iterations ten", "--iterations: 'ten' is not a whole number from 1 to 1000");
    refuses("build x -i a --seed 9223372036854775808",
            "--seed: '9223372036854775808' is not a whole number from 0 to 9223372036854775807");
    refuses("build x -i a --sample 0", "--sample: 0 is out of range: 1 to 1000000000000 or auto");
    refuses("build x -i a --tolerance 1.5", "--tolerance: 1.5 is out of range: 0 to 1");
    refuses("build x -i a --tolerance nan", "--tolerance: 'nan' is not a number from 0 to 1");
    refuses("build x -i a --metric euclid", "--metric: 'euclid' is none of l2,ip,cosine");
    refuses("build x -i a --metric l2,ip", "--metric: 'l2,ip' is none of l2,ip,cosine");
    refuses("build x --input=", "--input: the value is empty");
    refuses("build x --input=\xff", "--input: the value is not UTF-8 text");
}
END_TEST

START_TEST(what_is_missing_or_too_much_is_named)
{
    refuses("", "no command; see mpivf --help");
    refuses("build --input a", "INDEX is missing");
    refuses("build x", "--input PATH is missing");
    refuses("build x y --input a", "unexpected argument 'y'");
    refuses("build x --input", "--input needs a value: PATH");
    refuses("build x -f", "--factory needs a value: STRING");
    refuses("build x -i a --seed 1 --seed 1", "--seed: given 2 times, but takes one value");
    refuses("build x -i a --quiet --verbose", "--quiet and --verbose exclude each other");
    refuses("build x -i a --ids-dataset n", "--ids-dataset has no effect without --ids");
    refuses("generate -o a --rows 1 --dim 1 --queries 3", "--queries has no effect without --queries-output");
    refuses("generate -o a --rows 1 --dim 1 --queries-output b", "--queries-output has no effect without --queries");
    refuses("--version now", "unexpected argument 'now'");
    ck_assert_int_eq(parse_and_finish("build x -i a --ids-dataset ids"), MPIVF_OK);
    ck_assert_int_eq(parse_and_finish("build -i a -- -odd"), MPIVF_OK);
    ck_assert_str_eq(ivf_options_text(&options, IVF_OPTION_INDEX), "-odd");
}
END_TEST

START_TEST(requests_are_told_apart)
{
    ck_assert(parse("--help") == MPIVF_OK && request == IVF_REQUEST_HELP);
    ck_assert(parse("-h") == MPIVF_OK && request == IVF_REQUEST_HELP);
    ck_assert(parse("help") == MPIVF_OK && request == IVF_REQUEST_HELP);
    ck_assert(parse("--version") == MPIVF_OK && request == IVF_REQUEST_VERSION);
    ck_assert(parse("--man") == MPIVF_OK && request == IVF_REQUEST_MAN);
    ck_assert(parse("--completion") == MPIVF_OK && request == IVF_REQUEST_COMPLETION);
    ck_assert(parse("help eval") == MPIVF_OK && request == IVF_REQUEST_COMMAND_HELP);
    ck_assert_int_eq(options.command, IVF_COMMAND_EVAL);
    ck_assert(parse("search --nprobe 3 -h") == MPIVF_OK && request == IVF_REQUEST_COMMAND_HELP);
    ck_assert(parse("search x --queries q") == MPIVF_OK && request == IVF_REQUEST_RUN);
}
END_TEST

START_TEST(the_command_line_beats_the_file_beats_the_default)
{
    ck_assert_int_eq(parse("build x --iterations 5 --no-replace"), MPIVF_OK);
    ck_assert_int_eq(configure("iterations: 6\npq-iterations: 7\nreplace: true\njson: true\ninput: [a, 'b c']\n"),
                     MPIVF_OK);
    ck_assert_int_eq(ivf_options_finish(&options), MPIVF_OK);
    ck_assert_int_eq(ivf_options_integer(&options, IVF_OPTION_ITERATIONS), 5);
    ck_assert_int_eq(ivf_options_integer(&options, IVF_OPTION_PQ_ITERATIONS), 7);
    ck_assert_int_eq(ivf_options_integer(&options, IVF_OPTION_SEED), 1);
    ck_assert(!ivf_options_flag(&options, IVF_OPTION_REPLACE));
    ck_assert(ivf_options_flag(&options, IVF_OPTION_JSON));
    ck_assert_int_eq(ivf_options_value(&options, IVF_OPTION_INPUT)->count, 2);
    ck_assert_str_eq(ivf_options_value(&options, IVF_OPTION_INPUT)->texts[1], "b c");
}
END_TEST

START_TEST(a_list_key_may_hold_one_value)
{
    ck_assert_int_eq(parse("eval x"), MPIVF_OK);
    ck_assert_int_eq(configure("queries: q\ngroundtruth: g\nk: [1, 5]\nnprobe: 2,4\n"), MPIVF_OK);
    ck_assert_int_eq(ivf_options_finish(&options), MPIVF_OK);
    ck_assert_int_eq(ivf_options_value(&options, IVF_OPTION_K_LIST)->integers[1], 5);
    ck_assert_int_eq(ivf_options_value(&options, IVF_OPTION_NPROBE_LIST)->integers[1], 4);
    ck_assert_int_eq(parse("build"), MPIVF_OK);
    ck_assert_int_eq(configure("index: there\ninput: one\n"), MPIVF_OK);
    ck_assert_int_eq(ivf_options_finish(&options), MPIVF_OK);
    ck_assert_str_eq(ivf_options_text(&options, IVF_OPTION_INDEX), "there");
    ck_assert_int_eq(ivf_options_value(&options, IVF_OPTION_INPUT)->count, 1);
}
END_TEST

START_TEST(a_null_in_the_file_is_no_value)
{
    ck_assert_int_eq(parse("build x -i a"), MPIVF_OK);
    ck_assert_int_eq(configure("factory: null\nids: ~ # none\nseed: Null\ninput: NULL\n"), MPIVF_OK);
    ck_assert_int_eq(ivf_options_finish(&options), MPIVF_OK);
    ck_assert_str_eq(ivf_options_text(&options, IVF_OPTION_FACTORY), "IVF,SQ8");
    ck_assert_ptr_null(ivf_options_text(&options, IVF_OPTION_IDS));
    ck_assert_int_eq(ivf_options_integer(&options, IVF_OPTION_SEED), 1);
    ck_assert_int_eq(parse("build -i a"), MPIVF_OK);
    ck_assert_int_eq(configure("index: \"null\"\nids: '~'\n"), MPIVF_OK);
    ck_assert_int_eq(ivf_options_finish(&options), MPIVF_OK);
    ck_assert_str_eq(ivf_options_text(&options, IVF_OPTION_INDEX), "null");
    ck_assert_str_eq(ivf_options_text(&options, IVF_OPTION_IDS), "~");
    refuses("build x", "--input PATH is missing");
    ck_assert_int_eq(parse("build x"), MPIVF_OK);
    ck_assert_int_eq(configure("input: null\n"), MPIVF_OK);
    ck_assert_int_eq(ivf_options_finish(&options), MPIVF_USAGE);
}
END_TEST

START_TEST(a_cluster_has_as_many_letters_as_it_likes)
{
    static char cluster[4096];
    static char program[] = "mpivf";
    static char command[] = "verify";
    static char index[] = "x";
    cluster[0] = '-';
    memset(cluster + 1, 'v', sizeof cluster - 2);
    char *argv[] = {program, command, index, cluster, NULL};
    ck_assert_int_eq(ivf_parse(4, argv, &request, &options), MPIVF_USAGE);
    ck_assert_str_eq(ivf_error_last()->text, "--verbose: given 4094 times, but takes one value");
}
END_TEST

START_TEST(faults_in_the_file_are_placed)
{
    const char *line = "build x";
    ck_assert_int_eq(parse(line), MPIVF_OK);
    ck_assert_int_eq(configure("input: []\n"), MPIVF_OK);
    ck_assert_int_eq(ivf_options_finish(&options), MPIVF_USAGE);
    refuses_config(line, "seed: 4\n\n# more\niteration: 3\n",
                   "c.yml:4: unknown key 'iteration'; did you mean 'iterations'?");
    refuses_config(line, "seed: 4\nconfig: a\n", "c.yml:2: unknown key 'config'; see mpivf build --help");
    refuses_config(line, "{seed: 1, sede: 2}", "c.yml:1: unknown key 'sede'; did you mean 'seed'?");
    refuses_config(line, "input: a\niterations: 0\n", "c.yml:2: iterations: 0 is out of range: 1 to 1000");
    refuses_config(line, "seed: 1\nmetric: l2\nseed: 2\n", "c.yml:3: the key 'seed' appears twice");
    refuses_config(line, "seed: [1, 2]\n", "c.yml:1: seed: a single value is expected");
    refuses_config(line, "input: {a: b}\n", "c.yml:1: input: a value or a list of values is expected");
    refuses_config(line, "replace: yes\n", "c.yml:1: replace: 'yes' is neither true nor false");
    refuses_config(line, "seed:\n", "c.yml:1: seed: the value is empty");
    refuses_config(line, "just words\n", "c.yml: keys with values are expected, as in 'k: 10'");
    refuses_config(line, "seed: &s 1\nsample: *s\n", "c.yml:2: sample: aliases are not supported");
    refuses_config(line, "seed: 1\n---\nseed: 2\n", "c.yml: more than one YAML document");
    refuses_config(line, "seed: 'x\n", "c.yml:1: no valid YAML here or shortly after: found unexpected end of stream");
    ck_assert_int_eq(parse(line), MPIVF_OK);
    ck_assert_int_eq(ivf_config_parse(&options, "c.yml", "seed: 1\0", 8), MPIVF_USAGE);
    ck_assert_int_eq(configure("# nothing\n"), MPIVF_OK);
}
END_TEST

START_TEST(a_printed_configuration_loads_as_itself)
{
    ck_assert_int_eq(parse_and_finish("build a\"b\\c --input x --input : --replace --tolerance 1e-4 --sample 77"),
                     MPIVF_OK);
    ivf_text first = {0};
    ivf_config_print(&first, &options);
    ck_assert_int_eq(parse("build"), MPIVF_OK);
    ck_assert_msg(ivf_config_parse(&options, "c.yml", first.text, first.length) == MPIVF_OK, "%s",
                  ivf_error_last()->text);
    ck_assert_int_eq(ivf_options_finish(&options), MPIVF_OK);
    ck_assert_str_eq(ivf_options_text(&options, IVF_OPTION_INDEX), "a\"b\\c");
    ivf_text second = {0};
    ivf_config_print(&second, &options);
    ck_assert_str_eq(first.text, second.text);
    ck_assert_ptr_nonnull(strstr(first.text, "\nfactory: \"IVF,SQ8\"\n"));
    ivf_text_free(&first);
    ivf_text_free(&second);
}
END_TEST

START_TEST(the_manifest_gets_what_determines_the_result)
{
    ck_assert_int_eq(parse_and_finish("build x -i a --threads 3 --json --seed 9"), MPIVF_OK);
    json_t *json = ivf_options_to_json(&options);
    ck_assert_ptr_nonnull(json);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "seed")), 9);
    ck_assert_str_eq(json_string_value(json_object_get(json, "sample")), "auto");
    ck_assert(json_is_array(json_object_get(json, "input")));
    ck_assert_ptr_null(json_object_get(json, "threads"));
    ck_assert_ptr_null(json_object_get(json, "json"));
    ck_assert_ptr_null(json_object_get(json, "help"));
    json_decref(json);
}
END_TEST

/* The name as the manual page writes it. */
static void in_troff(const char *name, char *out)
{
    for (; *name != '\0'; name++) {
        if (*name == '-')
            *out++ = '\\';
        *out++ = *name;
    }
    *out = '\0';
}

static void check_texts(const ivf_option *option, const char *help, const char *man, const char *completion)
{
    char name[64];
    char escaped[128];
    if ((option->flags & IVF_ROW_POSITIONAL) != 0) {
        ck_assert_ptr_nonnull(strstr(help, option->argument));
        return;
    }
    (void)snprintf(name, sizeof name, "--%s", option->name);
    in_troff(name, escaped);
    ck_assert_msg(strstr(help, name) != NULL, "no %s in the help", name);
    ck_assert_msg(strstr(completion, name) != NULL, "no %s in the completion", name);
    ck_assert_msg(strstr(man, escaped) != NULL, "no %s in the manual", name);
}

START_TEST(every_option_is_in_help_manual_and_completion)
{
    ivf_text man = {0};
    ivf_text completion = {0};
    ivf_man_page(&man);
    ivf_completion_bash(&completion);
    for (int command = 0; command < IVF_COMMAND_COUNT; command++) {
        ivf_text help = {0};
        ivf_help_command(&help, (ivf_command_id)command);
        for (int id = 0; id < IVF_OPTION_COUNT; id++)
            if (ivf_option_in((ivf_option_id)id, (ivf_command_id)command))
                check_texts(ivf_option_get((ivf_option_id)id), help.text, man.text, completion.text);
        ivf_text_free(&help);
    }
    ivf_text_free(&man);
    ivf_text_free(&completion);
}
END_TEST

START_TEST(plan_takes_what_build_takes)
{
    for (int id = 0; id < IVF_OPTION_COUNT; id++)
        ck_assert_msg(!ivf_option_in((ivf_option_id)id, IVF_COMMAND_BUILD) ||
                          ivf_option_in((ivf_option_id)id, IVF_COMMAND_PLAN),
                      "plan does not know --%s", ivf_option_get((ivf_option_id)id)->name);
}
END_TEST

START_TEST(nothing_is_left_allocated)
{
    (void)parse_and_finish("build x -i a -i b --seed 3");
    (void)configure("input: [c, d]\nseed: 4\niterations: [\n");
    (void)configure("input: c\nseed: 4\nunknown: 1\n");
    ivf_options_free(&options);
    ck_assert_uint_eq(ivf_memory_now(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *tests = tcase_create("options");
    tcase_add_test(tests, every_row_is_sound_and_alone);
    tcase_add_test(tests, every_default_is_a_legal_value);
    tcase_add_test(tests, values_come_from_the_command_line);
    tcase_add_test(tests, lists_are_split_at_commas);
    tcase_add_test(tests, abbreviations_are_taken_when_they_can_mean_one_thing);
    tcase_add_test(tests, unknown_words_name_the_nearest_known_one);
    tcase_add_test(tests, values_out_of_range_name_the_range);
    tcase_add_test(tests, what_is_missing_or_too_much_is_named);
    tcase_add_test(tests, requests_are_told_apart);
    tcase_add_test(tests, the_command_line_beats_the_file_beats_the_default);
    tcase_add_test(tests, a_list_key_may_hold_one_value);
    tcase_add_test(tests, a_null_in_the_file_is_no_value);
    tcase_add_test(tests, a_cluster_has_as_many_letters_as_it_likes);
    tcase_add_test(tests, faults_in_the_file_are_placed);
    tcase_add_test(tests, a_printed_configuration_loads_as_itself);
    tcase_add_test(tests, the_manifest_gets_what_determines_the_result);
    tcase_add_test(tests, every_option_is_in_help_manual_and_completion);
    tcase_add_test(tests, plan_takes_what_build_takes);
    tcase_add_test(tests, nothing_is_left_allocated);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
