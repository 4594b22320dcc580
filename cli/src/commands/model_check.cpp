// skerry model check FILE: the admission check that every device makes before an engine sees a
// file.

#include <fmt/format.h>

#include "skerry/cli/weights.hpp"

#include "commands.hpp"
#include "invocation.hpp"
#include "model_commands.hpp"

namespace skerry::cli {
namespace {

struct ModelCheckOptions {
  std::vector<std::string> files;
};

bool refused(const Error& error) {
  return error.code() == Error::Code::kModelFormat || error.code() == Error::Code::kTooLarge;
}

Result<int> run_model_check(Invocation& invocation, const ModelCheckOptions& options) {
  int code = kExitDone;
  for (const std::string& file : options.files) {
    const auto weights = inspect_weights(invocation.fs, file, {});
    if (!weights) {
      if (!refused(weights.error())) {
        return weights.error();
      }
      invocation.console.line("refused: " + printable(weights.error().message()));
      code = kExitNo;
      continue;
    }
    if (invocation.json) {
      invocation.console.print_json(weights->details);
      continue;
    }
    invocation.console.line(file + ": admitted");
    for (const auto& [name, value] : *weights->details.object()) {
      invocation.console.line(
          fmt::format("  {:<16}{}",
                      name,
                      printable(value.string() != nullptr ? *value.string() : value.dump())));
    }
  }
  return code;
}

}  // namespace

void add_model_check(Command& model, Invocation& invocation) {
  Command* command = model.add_subcommand(
      "check", "structure, bounds, sizes and types of GGUF and ONNX files; exit code 3: refused");
  const auto options = add_action<ModelCheckOptions>(command, invocation, run_model_check);
  command->add_option("file", options->files, "")->required();
}

}  // namespace skerry::cli
