// skerry model evaluate SOURCE: measures every variant in a worker, as a device would run it, and
// prints the model card's table.

#include <algorithm>

#include <fmt/format.h>

#include "skerry/cli/model_source.hpp"
#include "skerry/cli/packer.hpp"
#include "skerry/runtime/evaluate.hpp"

#include "commands.hpp"
#include "invocation.hpp"
#include "model_commands.hpp"

namespace skerry::cli {
namespace {

struct ModelEvaluateOptions {
  std::string source;
  std::string derived;
  std::vector<std::string> variants;
  std::string set;
  std::uint32_t limit = 0;
  std::uint32_t threads = 0;
  std::uint32_t parallel = 1;
  double min_accuracy = 0;
  bool save = false;
  WorkerOptions worker;
};

struct Row {
  std::string variant;
  std::uint64_t size = 0;
  runtime::EvaluationReport report;

  // Mean over the fields for JSON answers, else the share of exact answers.
  [[nodiscard]] double accuracy() const {
    std::uint64_t correct = 0;
    std::uint64_t total = 0;
    for (const auto& [field, count] : report.field_total) {
      total += count;
      const auto found = report.field_correct.find(field);
      correct += found == report.field_correct.end() ? 0 : found->second;
    }
    return total == 0 ? report.exact_rate()
                      : static_cast<double>(correct) / static_cast<double>(total);
  }
};

// A tensor document may keep its samples in a file beside it: {"data": {"file": "eval.bin", …}, …}.
Result<runtime::GoldenSet> load_set(Invocation& invocation, const std::filesystem::path& path) {
  const auto text = read_file(invocation.fs, path, runtime::kMaxGoldenBytes);
  if (!text) {
    return text.error();
  }
  std::string sidecar;
  if (path.extension() == ".json") {
    const auto json = Json::parse(*text, JsonLimits{.bytes = runtime::kMaxGoldenBytes});
    if (!json) {
      return json.error().with_context(path.string());
    }
    const Json* samples = json->find("data");
    const Json* name = samples == nullptr ? nullptr : samples->find("file");
    if (name != nullptr && name->string() != nullptr) {
      auto data = read_file(invocation.fs,
                            path.parent_path() / std::filesystem::path{*name->string()}.filename(),
                            runtime::kMaxGoldenBytes);
      if (!data) {
        return data.error();
      }
      sidecar = std::move(*data);
    }
  }
  auto set = runtime::parse_golden(*text, sidecar);
  return set ? std::move(set) : set.error().with_context(path.string());
}

Result<Row> measure(Invocation& invocation,
                    const ModelEvaluateOptions& options,
                    const ModelSource& source,
                    const SourceVariant& variant,
                    const runtime::GoldenSet& set) {
  auto supervisor = worker_setup(invocation, options.worker);
  if (!supervisor) {
    return supervisor.error();
  }
  const auto path = source.weights_of(variant, options.derived);
  auto file = open_model_file(invocation, path, "model");
  if (!file) {
    return file.error();
  }
  Row row;
  row.variant = variant.name;
  row.size = file->length;
  runtime::LoadSpec spec;
  spec.model = file->digest;
  spec.plugin = variant.runtime;
  spec.accelerator = variant.accelerator;
  spec.context_length = source.activation.context_length;
  spec.threads = options.threads;
  spec.files.push_back(std::move(*file));
  runtime::EvaluationOptions evaluation;
  evaluation.parallel = options.parallel;
  const std::string label = "measuring " + variant.name;
  evaluation.progress = [&invocation, &label](std::uint32_t done, std::uint32_t total) {
    invocation.console.progress(label, done, total);
  };
  auto report =
      runtime::evaluate_model(std::move(*supervisor), std::move(spec), set, std::move(evaluation));
  invocation.console.finish_progress();
  if (!report) {
    return report.error().with_context("variant " + variant.name);
  }
  row.report = std::move(*report);
  return row;
}

std::string percent(double share) {
  return fmt::format("{:.1f} %", share * 100);
}

Table card(const std::vector<Row>& rows) {
  std::vector<std::string> header{"variant", "size", "exact answers"};
  std::vector<std::string> fields;
  for (const auto& [field, total] : rows.front().report.field_total) {
    fields.push_back(field);
    header.push_back(field);
  }
  const bool tokens = rows.front().report.completion_tokens > 0;
  header.emplace_back(tokens ? "tokens/s" : "windows/s");
  header.emplace_back("peak memory");
  Table table{header};
  for (const Row& row : rows) {
    std::vector<std::string> cells{
        row.variant, human_bytes(row.size), percent(row.report.exact_rate())};
    for (const std::string& field : fields) {
      const auto correct = row.report.field_correct.find(field);
      const auto total = row.report.field_total.find(field);
      cells.push_back(total == row.report.field_total.end() || total->second == 0
                          ? "-"
                          : percent(static_cast<double>(correct == row.report.field_correct.end()
                                                            ? 0
                                                            : correct->second) /
                                    static_cast<double>(total->second)));
    }
    cells.push_back(
        fmt::format("{:.0f}", tokens ? row.report.tokens_per_second : row.report.cases_per_second));
    cells.push_back(human_bytes(row.report.peak_resident_bytes));
    table.add(std::move(cells));
  }
  return table;
}

Json row_json(const Row& row) {
  Json::Object fields;
  for (const auto& [field, total] : row.report.field_total) {
    const auto correct = row.report.field_correct.find(field);
    fields[field] =
        total == 0
            ? 0.0
            : static_cast<double>(correct == row.report.field_correct.end() ? 0 : correct->second) /
                  static_cast<double>(total);
  }
  Json::Array mismatches;
  for (const std::string& mismatch : row.report.mismatches) {
    mismatches.emplace_back(mismatch);
  }
  return Json{Json::Object{{"variant", row.variant},
                           {"size_bytes", row.size},
                           {"cases", row.report.cases},
                           {"exact", row.report.exact_rate()},
                           {"accuracy", row.accuracy()},
                           {"failed", row.report.failed},
                           {"fields", std::move(fields)},
                           {"tokens_per_second", row.report.tokens_per_second},
                           {"cases_per_second", row.report.cases_per_second},
                           {"peak_resident_bytes", row.report.peak_resident_bytes},
                           {"mismatches", std::move(mismatches)}}};
}

void print_rows(Invocation& invocation, const std::vector<Row>& rows) {
  if (!invocation.json) {
    invocation.console.print(card(rows).markdown());
    return;
  }
  Json::Array list;
  for (const Row& row : rows) {
    list.push_back(row_json(row));
  }
  invocation.console.print_json(Json{std::move(list)});
}

Result<void> save(Invocation& invocation,
                  const ModelEvaluateOptions& options,
                  const std::vector<Row>& rows) {
  const auto path = std::filesystem::path{options.derived} / "quality.json";
  auto figures = load_quality(invocation.fs, path);
  if (!figures) {
    return figures.error();
  }
  for (const Row& row : rows) {
    auto& values = (*figures)[row.variant];
    values["accuracy"] = row.accuracy();
    values["exact"] = row.report.exact_rate();
    values["rss_bytes"] = static_cast<double>(row.report.peak_resident_bytes);
    if (row.report.tokens_per_second > 0) {
      values["tokens_per_second"] = row.report.tokens_per_second;
    } else {
      values["cases_per_second"] = row.report.cases_per_second;
    }
  }
  return save_quality(invocation.fs, path, *figures);
}

Result<int> run_model_evaluate(Invocation& invocation, const ModelEvaluateOptions& options) {
  const auto source = load_model_source(invocation.fs, options.source);
  if (!source) {
    return source.error();
  }
  const std::filesystem::path path = options.set.empty() ? source->folder / source->evaluation
                                                         : std::filesystem::path{options.set};
  if (options.set.empty() && source->evaluation.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "model.toml names no evaluation set: say --set FILE"};
  }
  auto set = load_set(invocation, path);
  if (!set) {
    return set.error();
  }
  if (options.limit != 0 && set->cases.size() > options.limit) {
    set->cases.resize(options.limit);
  }
  std::vector<Row> rows;
  for (const SourceVariant& variant : source->variants) {
    const bool wanted = options.variants.empty() ||
                        std::find(options.variants.begin(), options.variants.end(), variant.name) !=
                            options.variants.end();
    if (!wanted) {
      continue;
    }
    auto row = measure(invocation, options, *source, variant, *set);
    if (!row) {
      return row.error();
    }
    rows.push_back(std::move(*row));
  }
  if (rows.empty()) {
    return Error{Error::Code::kNotFound, "model.toml has no such variant"};
  }
  print_rows(invocation, rows);
  if (options.save) {
    if (auto saved = save(invocation, options, rows); !saved) {
      return saved.error();
    }
  }
  const bool good = std::all_of(rows.begin(), rows.end(), [&options](const Row& row) {
    return row.accuracy() >= options.min_accuracy;
  });
  return good ? kExitDone : kExitNo;
}

}  // namespace

void add_model_evaluate(Command& model, Invocation& invocation) {
  Command* command =
      model.add_subcommand("evaluate", "measure variants here and print the card's table");
  const auto options = add_action<ModelEvaluateOptions>(command, invocation, run_model_evaluate);
  command->add_option("source", options->source, "folder with model.toml")->required();
  command->add_option("--derived", options->derived, "folder of the derived variants")->required();
  command->add_option("--variant", options->variants, "only these (repeatable)");
  command->add_option("--set", options->set, "another evaluation set than model.toml names");
  command->add_option("--limit", options->limit, "only the first so many cases");
  command->add_option("--threads", options->threads, "0: as many as there are cores");
  command->add_option("--parallel", options->parallel, "requests at a time")->show_default();
  command->add_option("--min-accuracy", options->min_accuracy, "exit code 3 below this, 0 to 1");
  command->add_flag("--save", options->save, "keep the figures in quality.json, which pack reads");
  add_worker_options(*command, options->worker);
}

}  // namespace skerry::cli
