// skerry-plugin-check: the conformance suite of the plugin ABI, run against a plugin and the models
// named on the command line. For authors of plugins, and for who decides whether to install one.

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

#include "case_report.hpp"
#include "plugin_contract.hpp"

namespace skerry::sdk {

namespace {

using runtime::Plugin;
using runtime::PluginCapabilities;
using runtime::test::PluginContract;
using runtime::test::PluginUnderTest;

constexpr int kPassed = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

struct Options {
  std::string library;
  std::vector<std::string> models;
  std::string name;
  std::string quantize_type;
  std::vector<std::string> cases;
  std::int64_t open_size = 1;
  unsigned timeout_s = 120;
  bool json = false;
  bool verbose = false;
};

// GoogleTest asks for these after `main` has filled them.
std::vector<PluginUnderTest>& plugins_under_test() {
  static std::vector<PluginUnderTest> plugins;
  return plugins;
}

INSTANTIATE_TEST_SUITE_P(Plugin, PluginContract, ::testing::ValuesIn(plugins_under_test()));

void print_log(LogLevel level, std::string_view message) {
  static constexpr const char* kNames[] = {"debug", "info", "warning", "error"};
  std::fprintf(stderr,
               "%s: %.*s\n",
               kNames[static_cast<std::size_t>(level) % std::size(kNames)],
               static_cast<int>(message.size()),
               message.data());
}

// The name by which models ask for the plugin: NAME of skerry-NAME.so. Empty: the file is called
// otherwise.
std::string name_of(const std::filesystem::path& library) {
  constexpr std::string_view kPrefix = "skerry-";
  const std::string stem = library.stem().string();
  return library.extension() == ".so" && stem.starts_with(kPrefix) ? stem.substr(kPrefix.size())
                                                                   : std::string{};
}

void fill_parameters(const Options& options, const std::string& name) {
  std::vector<std::string> models = options.models;
  if (models.empty()) {
    models.emplace_back();
  }
  for (const std::string& model : models) {
    PluginUnderTest plugin;
    plugin.name = name;
    plugin.library = options.library;
    plugin.model = model;
    plugin.quantize_type = options.quantize_type;
    plugin.open_size = options.open_size;
    if (options.verbose) {
      plugin.log = print_log;
    }
    plugins_under_test().push_back(std::move(plugin));
  }
}

// None of GoogleTest's own switches reaches the user, neither by argument nor by environment.
void start_googletest(const std::vector<std::string>& cases) {
  for (const char* variable : {"GTEST_TOTAL_SHARDS",
                               "GTEST_SHARD_INDEX",
                               "GTEST_SHARD_STATUS_FILE",
                               "XML_OUTPUT_FILE",
                               "TEST_PREMATURE_EXIT_FILE"}) {
    unsetenv(variable);  // NOLINT(concurrency-mt-unsafe): there is one thread yet
  }
  std::string filter;
  for (const std::string& name : cases) {
    filter += "*/PluginContract." + name + "/*:";
  }
  GTEST_FLAG_SET(filter, filter.empty() ? "*" : filter);
  GTEST_FLAG_SET(output, "");
  GTEST_FLAG_SET(repeat, 1);
  GTEST_FLAG_SET(shuffle, false);
  GTEST_FLAG_SET(fail_fast, false);
  GTEST_FLAG_SET(break_on_failure, false);
  GTEST_FLAG_SET(catch_exceptions, true);
  GTEST_FLAG_SET(list_tests, false);
  GTEST_FLAG_SET(stream_result_to, "");
  std::string program = "skerry-plugin-check";
  std::vector<char*> arguments{program.data(), nullptr};
  int count = 1;
  ::testing::InitGoogleTest(&count, arguments.data());
}

// What the plugin says of itself; without that no case makes sense.
Result<PluginCapabilities> introduce(const Options& options) {
  auto plugin = Plugin::open(options.library, {}, {});
  if (!plugin) {
    return plugin.error();
  }
  return (*plugin)->capabilities();
}

void print_result(const Options& options,
                  const std::string& name,
                  const PluginCapabilities& capabilities,
                  const CaseReport& report) {
  if (options.json) {
    Json json = report.to_json();
    Json::Object& object = *json.object();
    object["plugin"] = name;
    object["library"] = options.library;
    object["version"] = capabilities.version;
    object["engine_version"] = capabilities.engine_version;
    std::printf("%s\n", json.dump_pretty().c_str());
    return;
  }
  std::printf("%s %s: %zu passed, %zu failed, %zu skipped\n",
              name.c_str(),
              capabilities.version.c_str(),
              report.count(CaseResult::Outcome::kPassed),
              report.count(CaseResult::Outcome::kFailed),
              report.count(CaseResult::Outcome::kSkipped));
}

int check(Options options) {
  options.library = std::filesystem::absolute(options.library).string();
  const std::string name = options.name.empty() ? name_of(options.library) : options.name;
  if (name.empty()) {
    std::fprintf(stderr,
                 "skerry-plugin-check: %s: the host finds a plugin by its file name, "
                 "skerry-NAME.so: rename it, or say --name\n",
                 options.library.c_str());
    return kUsage;
  }
  fill_parameters(options, name);
  start_googletest(options.cases);
  // Owned by GoogleTest once it listens.
  auto report = std::make_unique<CaseReport>(CaseReport::Options{
      .models = options.models, .timeout_s = options.timeout_s, .quiet = options.json});
  CaseReport::watch(options.timeout_s);
  const auto capabilities = introduce(options);
  if (!capabilities) {
    report->add({.name = "Opens",
                 .model = {},
                 .outcome = CaseResult::Outcome::kFailed,
                 .failures = {{"plugin_host.cpp", capabilities.error().to_string()}},
                 .reason = {}});
    print_result(options, name, {}, *report);
    return kFailed;
  }
  CaseReport& seen = *report;
  ::testing::TestEventListeners& listeners = ::testing::UnitTest::GetInstance()->listeners();
  delete listeners.Release(listeners.default_result_printer());
  listeners.Append(report.release());
  const int failed = RUN_ALL_TESTS();
  if (seen.empty()) {
    std::fprintf(stderr, "skerry-plugin-check: no case is called as --case says\n");
    return kUsage;
  }
  print_result(options, name, *capabilities, seen);
  return failed == 0 ? kPassed : kFailed;
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app{"Holds a runtime plugin to the rules of Skerry's plugin ABI."};
  app.name("skerry-plugin-check");
  app.set_version_flag("--version", SKERRY_VERSION);
  app.add_option("plugin", options.library, "the library, skerry-NAME.so")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option(
         "model", options.models, "model files, each checked by itself; none: it needs none")
      ->check(CLI::ExistingFile);
  app.add_option("--name", options.name, "the plugin's name, if the file is called otherwise");
  app.add_option("--case", options.cases, "only these cases; * stands for any text (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--size", options.open_size, "for dimensions that a model leaves open")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--quantize-type", options.quantize_type, "a type that the plugin quantizes to");
  app.add_option("--timeout", options.timeout_s, "seconds for one case")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  app.add_flag("--json", options.json, "one JSON document instead of lines");
  app.add_flag("--verbose", options.verbose, "what the plugin logs, on standard error");
  app.footer(
      "Runs the plugin in this process, without the sandbox of a worker: check what you "
      "trust.\nExit codes: 0 passed or skipped, 1 a case failed, 2 wrong arguments.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kPassed : kUsage;
  }
  return check(std::move(options));
}

}  // namespace

}  // namespace skerry::sdk

int main(int argc, char** argv) {
  try {
    return skerry::sdk::run(argc, argv);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "skerry-plugin-check: %s\n", failure.what());
    return 1;
  }
}
