// How fast a worker answers on a machine that does other things as well: real worker, real engine,
// real neighbours. Each case takes its turn in every round, because machines are noisy; printed are
// medians and their 95 % intervals (bootstrap).
//
//   skerry-bench-serving --model FILE.gguf [--rounds N] [--tokens N] [--threads N] [--rows LIST]
//
// Rows: neighbour (one stream, with and without a process that computes beside it), lone (the same
// without), arrival (time between tokens while a long prompt arrives), fairness (two principals,
// one of whom floods), prefix (first token of a prompt that begins like one whose owner still
// runs), restart (first token of a prompt whose beginning an earlier worker has read, from disk),
// draft (one stream that says the same again, and one whose next token nobody foresees, with and
// without guesses).
// `--spin` is the neighbour itself.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bench_worker.hpp"
#include "disk_shelf.hpp"

namespace {

using namespace skerry;
using bench::Answer;
using bench::BenchWorker;

struct Options {
  std::string model;
  std::string rows = "neighbour,arrival,fairness,prefix,restart,draft";
  int rounds = 5;
  std::uint32_t tokens = 64;
  std::uint32_t threads = 0;
};

[[noreturn]] void spin() {
  volatile std::uint64_t count = 0;
  for (;;) {
    count = count + 1;
  }
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i];
    const char* value = argv[i + 1];
    if (key == "--model") {
      options.model = value;
    } else if (key == "--rows") {
      options.rows = value;
    } else if (key == "--rounds") {
      options.rounds = std::max(1, std::atoi(value));
    } else if (key == "--tokens") {
      options.tokens = static_cast<std::uint32_t>(std::max(8, std::atoi(value)));
    } else if (key == "--threads") {
      options.threads = static_cast<std::uint32_t>(std::max(0, std::atoi(value)));
    } else {
      bench::give_up("unknown option " + key);
    }
  }
  if (options.model.empty()) {
    bench::give_up("--model FILE.gguf is needed");
  }
  return options;
}

double median(std::vector<double> values) {
  if (values.empty()) {
    return 0;
  }
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// 95 % interval of the median.
std::pair<double, double> interval(const std::vector<double>& values) {
  constexpr int kDraws = 2000;
  std::mt19937 random{1};
  std::uniform_int_distribution<std::size_t> pick{0, values.size() - 1};
  std::vector<double> medians;
  for (int draw = 0; draw < kDraws; ++draw) {
    std::vector<double> sample;
    for (std::size_t i = 0; i < values.size(); ++i) {
      sample.push_back(values[pick(random)]);
    }
    medians.push_back(median(std::move(sample)));
  }
  std::sort(medians.begin(), medians.end());
  return {medians[kDraws / 40], medians[kDraws - kDraws / 40 - 1]};
}

double percentile(std::vector<double> values, double share) {
  if (values.empty()) {
    return 0;
  }
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}

void print(const std::string& name, const std::vector<double>& values, const char* unit) {
  const auto [low, high] = interval(values);
  std::printf("%-46s %8.2f %s  [%.2f, %.2f]  n=%zu\n",
              name.c_str(),
              median(values),
              unit,
              low,
              high,
              values.size());
  std::fflush(stdout);
}

std::string load_average() {
  std::ifstream in{"/proc/loadavg"};
  std::string first;
  in >> first;
  return first;
}

std::vector<std::int32_t> some_prompt(std::size_t length, std::int32_t salt) {
  std::vector<std::int32_t> tokens{1};
  while (tokens.size() < length) {
    tokens.push_back(300 + static_cast<std::int32_t>(
                               (tokens.size() * 37U + static_cast<std::size_t>(salt)) % 600U));
  }
  return tokens;
}

// One stream: as Skerry does it and with the engine's own defaults (as many threads as cores, which
// poll), each alone and beside a process that computes.
void neighbour_row(const Options& options, bool with_neighbour) {
  BenchWorker adaptive{options.model, {.threads = options.threads, .adapt = true}};
  BenchWorker fixed{options.model, {.threads = options.threads, .adapt = false, .poll = "50"}};
  std::map<std::string, std::vector<double>> rates;
  std::map<std::string, std::string> states;
  for (int round = 0; round < options.rounds; ++round) {
    for (const bool beside : {false, true}) {
      if (beside && !with_neighbour) {
        continue;
      }
      const bench::Neighbour neighbour{beside};
      for (const bool adapts : {true, false}) {
        BenchWorker& worker = adapts ? adaptive : fixed;
        const std::string name = std::string{adapts ? "adapting" : "engine's defaults"} +
                                 (beside ? ", one neighbour" : ", alone");
        // The governor needs its second or two; both get the same time.
        worker.generate_for(std::chrono::milliseconds{3500}, "bench");
        const Answer answer = worker.generate("bench", some_prompt(32, round), options.tokens);
        rates[name].push_back(answer.tokens_per_second());
        states[name] = worker.state();
      }
    }
  }
  for (const auto& [name, values] : rates) {
    print("decode, " + name + " (" + states[name] + ")", values, "tokens/s");
  }
  const auto ratio = [&](const char* with, const char* without) {
    return median(rates[with]) / std::max(median(rates[without]), 1e-9);
  };
  std::printf("alone, adapting over engine's defaults: %.2f\n",
              ratio("adapting, alone", "engine's defaults, alone"));
  if (with_neighbour) {
    std::printf(
        "beside a neighbour, of its own speed alone: adapting %.2f, engine's defaults %.2f\n",
        ratio("adapting, one neighbour", "adapting, alone"),
        ratio("engine's defaults, one neighbour", "engine's defaults, alone"));
    std::printf("beside a neighbour, adapting over engine's defaults: %.2f\n",
                ratio("adapting, one neighbour", "engine's defaults, one neighbour"));
  }
}

// Somebody reads an answer while somebody else's long prompt is taken in.
void arrival_row(const Options& options) {
  BenchWorker worker{options.model, {.threads = options.threads, .adapt = true}};
  const std::size_t length = worker.context() / 2;
  std::vector<double> gaps;
  std::vector<double> first;
  std::vector<double> lone;
  for (int round = 0; round < options.rounds; ++round) {
    lone.push_back(worker.generate("lone", some_prompt(length, round), 1).first_token());
    auto reader = worker.begin("reader", some_prompt(16, round), options.tokens * 8);
    worker.wait_for_tokens(*reader, 4);
    const Answer long_one = worker.generate("arriving", some_prompt(length, round + 7), 1);
    first.push_back(long_one.first_token());
    worker.cancel(*reader);
    const std::vector<double> between = worker.finish(*reader).gaps(long_one);
    gaps.insert(gaps.end(), between.begin(), between.end());
  }
  std::printf(
      "between tokens while a prompt of %zu tokens arrives: p50 %.1f ms, p99 %.1f ms, longest "
      "%.1f ms  n=%zu\n",
      length,
      percentile(gaps, 0.5) * 1e3,
      percentile(gaps, 0.99) * 1e3,
      percentile(gaps, 1.0) * 1e3,
      gaps.size());
  print("first token of that prompt, alone", lone, "s");
  print("first token of that prompt, beside the reader", first, "s");
  std::printf("beside over alone: %.2f\n", median(first) / std::max(median(lone), 1e-9));
}

// Somebody reads an answer to a long prompt; the same principal asks for something else about the
// same thousand tokens. Beside it the same prompt by somebody for whom it is new.
void prefix_row(const Options& options) {
  constexpr std::size_t kPrefix = 1024;
  constexpr std::size_t kTail = 16;
  BenchWorker worker{options.model, {.threads = options.threads, .adapt = true}};
  const auto prompt = [](int round, std::int32_t tail) {
    std::vector<std::int32_t> tokens = some_prompt(kPrefix, round);
    while (tokens.size() < kPrefix + kTail) {
      tokens.push_back(700 + tail);
    }
    return tokens;
  };
  std::vector<double> cold;
  std::vector<double> shared;
  std::vector<double> idle;
  std::vector<double> ratios;
  for (int round = 0; round < options.rounds; ++round) {
    auto owner = worker.begin("owner", prompt(round, 1), 2048);
    worker.wait_for_tokens(*owner, 4);
    cold.push_back(
        worker.generate("new " + std::to_string(round), prompt(round, 2), 1).first_token());
    shared.push_back(worker.generate("owner", prompt(round, 2), 1).first_token());
    if (BenchWorker::ended(*owner)) {
      bench::give_up("the owner of the prefix ended before the others were answered");
    }
    worker.cancel(*owner);
    worker.finish(*owner);
    idle.push_back(worker.generate("owner", prompt(round, 3), 1).first_token());
    ratios.push_back(shared.back() / std::max(cold.back(), 1e-9));
  }
  print("first token, prefix of 1024 cold, owner running", cold, "s");
  print("first token, the same prefix shared", shared, "s");
  print("first token, its owner gone", idle, "s");
  print("shared over cold", ratios, "");
}

// A worker reads a prompt and rests, so that its prefix is saved; it and the store of prefixes end.
// Others take their places and are asked for the same thousand tokens with another end: by the same
// principal, and by one for whom they are new. Both are warmed up by another prompt first.
void restart_row(const Options& options) {
  constexpr std::size_t kPrefix = 1024;
  constexpr std::size_t kTail = 16;
  const auto prompt = [](int round, std::int32_t tail) {
    std::vector<std::int32_t> tokens = some_prompt(kPrefix, round);
    while (tokens.size() < kPrefix + kTail) {
      tokens.push_back(700 + tail);
    }
    return tokens;
  };
  std::vector<double> computed;
  std::vector<double> restored;
  std::vector<double> ratios;
  for (int round = 0; round < options.rounds; ++round) {
    bench::DiskShelf shelf;
    const bench::WorkerPlan plan{
        .threads = options.threads, .adapt = true, .poll = {}, .shelf = &shelf};
    {
      BenchWorker worker{options.model, plan};
      worker.generate("owner", prompt(round, 1), 1);
      worker.wait_for([&] { return shelf.saved() > 0; }, std::chrono::seconds{30});
      if (shelf.saved() == 0) {
        bench::give_up("the prefix was not saved: is the model so small that it does not pay?");
      }
    }
    shelf.reopen();
    BenchWorker worker{options.model, plan};
    worker.generate("warm up", some_prompt(64, round + 100), 1);
    // Either first in every second round.
    for (const bool known : {round % 2 == 0, round % 2 != 0}) {
      const std::string who = known ? "owner" : "new " + std::to_string(round);
      (known ? restored : computed)
          .push_back(worker.generate(who, prompt(round, 2), 1).first_token());
    }
    if (shelf.hits() == 0) {
      bench::give_up("the prefix was not read from disk");
    }
    ratios.push_back(restored.back() / std::max(computed.back(), 1e-9));
  }
  print("first token after a restart, prefix computed", computed, "s");
  print("first token after a restart, prefix from disk", restored, "s");
  print("from disk over computed", ratios, "");
}

// Jain's index of the tokens that two principals get in the same time, one of whom asks for
// everything at once and the other for its share.
void fairness_row(const Options& options) {
  BenchWorker worker{options.model, {.threads = options.threads, .adapt = true}};
  std::vector<double> indices;
  for (int round = 0; round < options.rounds; ++round) {
    const auto [flood, modest] =
        worker.compete(std::chrono::seconds{20}, 24, 2, some_prompt(16, round), options.tokens);
    const double both = static_cast<double>(flood + modest);
    const double squares = static_cast<double>(flood) * static_cast<double>(flood) +
                           static_cast<double>(modest) * static_cast<double>(modest);
    std::printf("tokens in 20 s: flooding %zu, modest %zu\n", flood, modest);
    indices.push_back(squares > 0 ? both * both / (2 * squares) : 0);
  }
  print("fairness (Jain), 24 requests against 2", indices, "");
}

// Two workers of which one rests, one guessing. The grammars make a model with random weights say
// what the row needs: one line again and again, or characters drawn anew, of which three have been
// seen before all the time.
void draft_row(const Options& options) {
  struct Text {
    const char* name;
    const char* grammar;
    float temperature;
  };
  constexpr Text kTexts[] = {
      {"a text that repeats", "root ::= (\"eth0: link down, renegotiating\\n\")+", 0.0F},
      {"one that does not", "root ::= [0-9a-f]+", 1.0F},
  };
  BenchWorker off{options.model, {.threads = options.threads, .adapt = true}};
  BenchWorker on{
      options.model,
      {.threads = options.threads, .adapt = true, .poll = {}, .shelf = nullptr, .drafting = true}};
  const std::uint32_t tokens = std::max(options.tokens, 256U);
  for (const Text& text : kTexts) {
    const auto speed = [&](BenchWorker& worker, int round) {
      const auto seed = static_cast<std::uint64_t>(round);
      return worker.write(text.grammar, text.temperature, seed, tokens).tokens_per_second();
    };
    speed(off, 0);
    speed(on, 0);
    std::vector<double> plain;
    std::vector<double> guessed;
    std::vector<double> ratios;
    for (int round = 0; round < options.rounds; ++round) {
      // Either first in every second round.
      for (const bool first : {round % 2 == 0, round % 2 != 0}) {
        (first ? plain : guessed).push_back(speed(first ? off : on, round));
      }
      ratios.push_back(guessed.back() / std::max(plain.back(), 1e-9));
    }
    const std::string name{text.name};
    print(name + ", no guesses", plain, "tokens/s");
    print(name + ", guesses", guessed, "tokens/s");
    print(name + ": guesses over none", ratios, "");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--spin") == 0) {
    spin();
  }
  const Options options = parse(argc, argv);
  std::printf("load %s, %u cores\n", load_average().c_str(), std::thread::hardware_concurrency());
  const auto wanted = [&](const char* row) { return options.rows.find(row) != std::string::npos; };
  if (wanted("neighbour") || wanted("lone")) {
    neighbour_row(options, wanted("neighbour"));
  }
  if (wanted("arrival")) {
    arrival_row(options);
  }
  if (wanted("fairness")) {
    fairness_row(options);
  }
  if (wanted("prefix")) {
    prefix_row(options);
  }
  if (wanted("restart")) {
    restart_row(options);
  }
  if (wanted("draft")) {
    draft_row(options);
  }
  std::printf("load %s\n", load_average().c_str());
  return 0;
}
