// skerry model check|quantize|evaluate|pack|sign|verify: making a model ready for the fleet, and
// who made it. skerry model import|export|list|inspect|vouch|revoke|activate|remove|pin|unpin: the
// models of this gateway's registry.

#include "commands.hpp"
#include "invocation.hpp"
#include "model_commands.hpp"

namespace skerry::cli {

void add_model_command(Command& app, Invocation& invocation) {
  Command* model = app.add_subcommand(
      "model",
      "make a model ready: check, derive, measure, pack, sign; import one of another tool");
  model->require_subcommand(1);
  add_model_check(*model, invocation);
  add_model_quantize(*model, invocation);
  add_model_evaluate(*model, invocation);
  add_model_pack(*model, invocation);
  add_model_sign(*model, invocation);
  add_model_verify(*model, invocation);
  add_model_import(*model, invocation);
  add_model_export(*model, invocation);
  add_model_catalogue(*model, invocation);
  add_model_pins(*model, invocation);
  add_model_vouch(*model, invocation);
}

}  // namespace skerry::cli
