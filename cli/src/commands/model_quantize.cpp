// skerry model quantize: derives smaller variants in a sandboxed worker. Either all that a
// model.toml asks for, or one file.

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "skerry/cli/model_source.hpp"
#include "skerry/cli/packer.hpp"
#include "skerry/cli/weights.hpp"
#include "skerry/registry/chunk_index.hpp"
#include "skerry/registry/recipe.hpp"
#include "skerry/runtime/quantize.hpp"

#include "commands.hpp"
#include "invocation.hpp"
#include "model_commands.hpp"

namespace skerry::cli {
namespace {

struct ModelQuantizeOptions {
  std::string source;
  std::string out;
  std::string input;
  std::string type;
  std::string output;
  std::string calibration;
  std::uint32_t threads = 0;
  bool force = false;
  WorkerOptions worker;
};

struct Job {
  std::filesystem::path input;
  std::filesystem::path output;
  std::filesystem::path calibration;
  std::string plugin;
  std::string type;
};

// How the output was made, beside it: `skerry model pack` signs it, and a device that holds the
// input makes the output itself. What needs calibration data cannot be made there.
Result<void> note_recipe(Invocation& invocation, const Job& job, const std::string& engine) {
  if (!job.calibration.empty()) {
    return {};
  }
  const auto source = registry::hash_file(invocation.fs, job.input, registry::kDefaultChunkSize);
  const auto made = registry::hash_file(invocation.fs, job.output, registry::kDefaultChunkSize);
  if (!source || !made) {
    return source ? made.error() : source.error();
  }
  const registry::Recipe recipe{source->digest, job.plugin, engine, job.type};
  if (!registry::Recipe::parse(recipe.serialise())) {
    return {};  // an engine that names no release
  }
  return write_file_atomic(invocation.fs,
                           job.output.string() + std::string{kRecipeSuffix},
                           made->digest.to_string() + " " + recipe.serialise() + "\n",
                           0644);
}

Result<std::uint64_t> derive(Invocation& invocation,
                             const ModelQuantizeOptions& options,
                             const Job& job) {
  const auto supervisor = worker_setup(invocation, options.worker);
  if (!supervisor) {
    return supervisor.error();
  }
  auto input = open_model_file(invocation, job.input, "model");
  if (!input) {
    return input.error();
  }
  const std::filesystem::path partial = job.output.string() + ".partial";
  static_cast<void>(::unlink(partial.c_str()));
  runtime::QuantizeJob quantize;
  quantize.plugin = job.plugin;
  quantize.type = job.type;
  quantize.files.push_back(std::move(*input));
  quantize.threads = options.threads;
  quantize.output = UniqueFd{::open(partial.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644)};
  if (!quantize.output.valid()) {
    return errno_error(errno, partial.string());
  }
  const int output = quantize.output.get();
  // Kept to sync what the worker wrote.
  const UniqueFd kept{::fcntl(output, F_DUPFD_CLOEXEC, 0)};
  if (!job.calibration.empty()) {
    auto data = open_model_file(invocation, job.calibration, "calibration");
    if (!data) {
      return data.error();
    }
    quantize.data = std::move(*data);
  }
  constexpr std::uint64_t kSteps = 1000;
  const std::string label = job.output.filename().string();
  quantize.progress = [&invocation, &label](float fraction) {
    invocation.console.progress(
        label, static_cast<std::uint64_t>(static_cast<double>(fraction) * kSteps), kSteps);
  };
  const auto done = runtime::quantize_model(*supervisor, std::move(quantize));
  invocation.console.finish_progress();
  if (!done) {
    static_cast<void>(::unlink(partial.c_str()));
    return done.error().with_context(job.output.string());
  }
  // What an engine wrote is checked like what anybody else wrote.
  if (const auto weights = inspect_weights(invocation.fs, partial, {}); !weights) {
    static_cast<void>(::unlink(partial.c_str()));
    return weights.error();
  }
  if (::fsync(kept.get()) != 0) {
    return errno_error(errno, partial.string());
  }
  if (auto renamed = invocation.fs.rename(partial, job.output); !renamed) {
    return renamed.error();
  }
  if (auto noted = note_recipe(invocation, job, done->engine_version); !noted) {
    return noted.error();
  }
  return done->bytes;
}

Result<int> derive_all(Invocation& invocation, const ModelQuantizeOptions& options) {
  const auto source = load_model_source(invocation.fs, options.source);
  if (!source) {
    return source.error();
  }
  if (options.out.empty()) {
    return Error{Error::Code::kInvalidArgument, "say --out, the folder for the derived variants"};
  }
  if (auto made = invocation.fs.create_directories(options.out, 0755); !made) {
    return made.error();
  }
  for (const SourceVariant& variant : source->variants) {
    if (variant.quantize.empty()) {
      continue;
    }
    Job job;
    job.input = source->weights_of(source->base(), options.out);
    job.output = source->weights_of(variant, options.out);
    job.plugin = variant.runtime;
    job.type = variant.quantize;
    if (!source->calibration.empty()) {
      job.calibration = source->folder / source->calibration;
    }
    if (!options.force && invocation.fs.exists(job.output)) {
      std::error_code ec;
      if (std::filesystem::last_write_time(job.output, ec) >=
          std::filesystem::last_write_time(job.input, ec)) {
        continue;
      }
    }
    const auto bytes = derive(invocation, options, job);
    if (!bytes) {
      return bytes.error();
    }
    invocation.console.line(fmt::format("{}  {}", job.output.string(), human_bytes(*bytes)));
  }
  return kExitDone;
}

Result<int> derive_one(Invocation& invocation, const ModelQuantizeOptions& options) {
  if (options.type.empty() || options.output.empty()) {
    return Error{Error::Code::kInvalidArgument, "--input also needs --type and --output"};
  }
  const auto weights = inspect_weights(invocation.fs, options.input, {});
  if (!weights) {
    return weights.error();
  }
  Job job;
  job.input = options.input;
  job.output = options.output;
  job.calibration = options.calibration;
  job.plugin = weights->format == "onnx" ? "onnx" : "llamacpp";
  job.type = options.type;
  const auto bytes = derive(invocation, options, job);
  if (!bytes) {
    return bytes.error();
  }
  invocation.console.line(fmt::format("{}  {}", options.output, human_bytes(*bytes)));
  return kExitDone;
}

Result<int> run_model_quantize(Invocation& invocation, const ModelQuantizeOptions& options) {
  if (options.source.empty() == options.input.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "give either a model's folder (with model.toml) or --input"};
  }
  return options.input.empty() ? derive_all(invocation, options) : derive_one(invocation, options);
}

}  // namespace

void add_model_quantize(Command& model, Invocation& invocation) {
  Command* command =
      model.add_subcommand("quantize", "derive smaller variants in a sandboxed worker");
  const auto options = add_action<ModelQuantizeOptions>(command, invocation, run_model_quantize);
  command->add_option("source", options->source, "folder with model.toml: derive all it asks for");
  command->add_option("--out", options->out, "folder for the derived variants");
  command->add_flag("--force", options->force, "also those that are newer than their source");
  command->add_option("--input", options->input, "one float GGUF or ONNX file instead");
  command->add_option(
      "--type", options->type, "f16, q8_0, q6_k, q4_k_m, q4_0, q2_k; onnx: int8-qdq");
  command->add_option("--output", options->output, "the file to make");
  command->add_option("--calibration", options->calibration, "representative inputs, for ONNX");
  command->add_option("--threads", options->threads, "0: as many as there are cores");
  add_worker_options(*command, options->worker);
}

}  // namespace skerry::cli
