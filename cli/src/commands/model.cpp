// skerry model check|quantize|evaluate|pack|sign|verify: making a model ready for the fleet, and
// who made it.

#include "commands.hpp"
#include "invocation.hpp"
#include "model_commands.hpp"

namespace skerry::cli {

void add_model_command(Command& app, Invocation& invocation) {
  Command* model =
      app.add_subcommand("model", "make a model ready: check, derive, measure, pack, sign");
  model->require_subcommand(1);
  add_model_check(*model, invocation);
  add_model_quantize(*model, invocation);
  add_model_evaluate(*model, invocation);
  add_model_pack(*model, invocation);
  add_model_sign(*model, invocation);
  add_model_verify(*model, invocation);
}

}  // namespace skerry::cli
