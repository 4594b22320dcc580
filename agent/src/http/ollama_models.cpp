// Ollama's calls about models: what is here, what is loaded, and what may not be changed from here.
// What runs on a gateway is signed and decided by the fleet, so pull only follows what the fleet
// has sent, delete forgets only what was imported here, and the calls that would make, copy or send
// a model are refused.

#include <algorithm>
#include <utility>

#include "skerry/agent/ollama.hpp"

#include "fronts.hpp"

namespace skerry::agent {
namespace {

constexpr std::chrono::milliseconds kProgressPeriod{500};

bool may_list(const HttpParts& parts, const Caller& caller, const ServedModel& model) {
  security::Resource resource;
  resource.model = model.name();
  resource.variant = model.variant.name;
  return parts.access.decide(caller.principal, security::Verb::kList, resource).allowed;
}

ollama::OllamaModel describe(const HttpParts& parts, const ServedModel& model) {
  ollama::OllamaModel out;
  out.name = model.name() + ":" + model.version();
  out.modified = model.generation.activated_at;
  out.size = model.variant.total_size();
  out.digest = model.generation.manifest.to_string();
  out.format = model.variant.format;
  out.quantization = model.variant.name;
  out.context_length = model.manifest->manifest.activation.context_length;
  // The engine's to say, so known while it is loaded.
  if (const runtime::ModelInfo* info = parts.host.info(model)) {
    out.family = info->architecture;
    out.context_length = info->context_length;
    if (info->can_generate) {
      out.capabilities.emplace_back("completion");
    }
    if (info->can_embed) {
      out.capabilities.emplace_back("embedding");
    }
  }
  return out;
}

// The slot that is getting the model that `reference` names, with how far it is.
std::optional<SlotView> coming(const SlotManager& slots, const registry::ModelReference& wanted) {
  const std::string target =
      "models/" + wanted.model.to_string() + "/" + (wanted.version.empty() ? "" : wanted.version);
  for (SlotView& view : slots.views()) {
    const std::string& offered = view.record.offer.target;
    const bool named = wanted.version.empty() ? offered.starts_with(target) : offered == target;
    if (named) {
      return std::move(view);
    }
  }
  return std::nullopt;
}

Error not_offered(const std::string& model) {
  return Error{Error::Code::kNotFound,
               "model \"" + model +
                   "\" is not offered to this gateway: models come signed from the fleet or from "
                   "a bundle, nothing is pulled from elsewhere"};
}

// How far a pull is: done, failed, or a line about what its slot does now.
struct PullStep {
  bool done = false;
  std::optional<Error> failed;
  std::string line;
};

PullStep pull_step(const HttpParts& parts, const registry::ModelReference& wanted) {
  PullStep step;
  if (parts.host.resolve(wanted).has_value()) {
    step.done = true;
    return step;
  }
  const std::optional<SlotView> view = coming(parts.slots, wanted);
  if (!view) {
    step.failed = not_offered(wanted.to_string());
    return step;
  }
  const std::string_view state = activation::to_string(view->record.state);
  if (activation::is_resting(view->record.state)) {
    step.failed =
        Error{Error::Code::kFailedPrecondition, std::string{state} + ": " + view->record.reason};
    return step;
  }
  const std::uint64_t total = view->progress.total_bytes;
  step.line = ollama::progress_line(
      state, view->record.manifest_digest, total, std::min(view->progress.done_bytes, total));
  return step;
}

// The last words of a pull.
Task<bool> end_pull(HttpExchange& exchange, PullStep step, bool stream) {
  std::string last =
      step.failed ? ollama::error_line(*step.failed) : ollama::progress_line("success", "", 0, 0);
  if (stream) {
    co_return co_await exchange.end_stream(std::move(last));
  }
  if (step.failed) {
    co_return co_await exchange.fail(*step.failed);
  }
  co_return co_await exchange.json(std::move(last));
}

// Lines of progress while the slot works on it. The last is success or an error.
Task<bool> follow_pull(HttpExchange& exchange, registry::ModelReference wanted, bool stream) {
  Notifier never(exchange.parts().core.control);
  if (stream) {
    std::string first = ollama::progress_line("pulling manifest", "", 0, 0);
    if (!co_await exchange.begin_stream(ollama::kLines, std::move(first))) {
      co_return false;
    }
  }
  while (true) {
    PullStep step = pull_step(exchange.parts(), wanted);
    if (step.done || step.failed) {
      co_return co_await end_pull(exchange, std::move(step), stream);
    }
    if (stream && !co_await exchange.write_stream(std::move(step.line))) {
      co_return false;
    }
    co_await never.wait_for(kProgressPeriod);
    if (exchange.peer_gone()) {
      co_return false;
    }
  }
}

}  // namespace

Task<bool> ollama_version(HttpExchange& exchange, Caller) {
  co_return co_await exchange.json(ollama::version_body(SKERRY_VERSION));
}

Task<bool> ollama_tags(HttpExchange& exchange, Caller caller) {
  const HttpParts& parts = exchange.parts();
  std::vector<ollama::OllamaModel> models;
  for (const ServedModelPtr& model : parts.host.served()) {
    if (may_list(parts, caller, *model)) {
      models.push_back(describe(parts, *model));
    }
  }
  co_return co_await exchange.json(ollama::tags_body(models));
}

Task<bool> ollama_ps(HttpExchange& exchange, Caller caller) {
  const HttpParts& parts = exchange.parts();
  const std::chrono::milliseconds idle = parts.core.settings->runtime().idle_unload;
  std::vector<ollama::OllamaModel> models;
  for (const ModelHost::Loaded& loaded : parts.host.loaded()) {
    if (!may_list(parts, caller, *loaded.served)) {
      continue;
    }
    ollama::OllamaModel model = describe(parts, *loaded.served);
    model.size = loaded.memory;
    if (idle.count() > 0) {
      model.expires = parts.core.clock.wall_now() + idle;
    }
    models.push_back(std::move(model));
  }
  co_return co_await exchange.json(ollama::ps_body(models));
}

Task<bool> ollama_show(HttpExchange& exchange, Caller caller) {
  HttpParts& parts = exchange.parts();
  Result<ollama::OllamaName> name =
      ollama::parse_name(exchange.request().body, exchange.max_body());
  if (!name) {
    co_return co_await exchange.fail(name.error());
  }
  Result<ServedModelPtr> model = co_await parts.inference.find(
      std::move(caller), name->model, security::Verb::kList, "model.get");
  if (!model) {
    co_return co_await exchange.fail(model.error());
  }
  co_return co_await exchange.json(ollama::show_body(describe(parts, **model)));
}

Task<bool> ollama_pull(HttpExchange& exchange, Caller caller) {
  HttpParts& parts = exchange.parts();
  Result<ollama::OllamaName> name =
      ollama::parse_name(exchange.request().body, exchange.max_body());
  if (!name) {
    co_return co_await exchange.fail(name.error());
  }
  // Decides; whether it is here already is looked at below.
  Result<ServedModelPtr> here = co_await parts.inference.find(
      std::move(caller), name->model, security::Verb::kList, "model.pull");
  if (!here && here.error().code() != Error::Code::kNotFound) {
    co_return co_await exchange.fail(here.error());
  }
  Result<registry::ModelReference> wanted = registry::ModelReference::parse(name->model);
  if (!wanted) {
    co_return co_await exchange.fail(wanted.error());
  }
  if (!here && (wanted->names_slot() || !coming(parts.slots, *wanted))) {
    co_return co_await exchange.fail(not_offered(name->model));
  }
  co_return co_await follow_pull(exchange, *std::move(wanted), name->stream);
}

Task<bool> ollama_delete(HttpExchange& exchange, Caller caller) {
  Result<ollama::OllamaName> name =
      ollama::parse_name(exchange.request().body, exchange.max_body());
  if (!name) {
    co_return co_await exchange.fail(name.error());
  }
  // Decides, and records intent and outcome; a model of the fleet is not forgotten from here.
  Result<CatalogueEntry> removed =
      co_await exchange.parts().imports.remove(std::move(caller), std::move(name->model));
  if (!removed && removed.error().code() == Error::Code::kFailedPrecondition) {
    // A slot uses it: nothing is wrong with the server.
    co_return co_await exchange.fail_with(409, removed.error());
  }
  if (!removed) {
    co_return co_await exchange.fail(removed.error());
  }
  std::string done("{}");
  co_return co_await exchange.json(std::move(done));
}

Task<bool> ollama_change(HttpExchange& exchange, Caller caller) {
  security::Resource none;
  Result<security::Decision> decision = co_await exchange.parts().access.authorise(
      std::move(caller), security::Verb::kAdminModelsImport, std::move(none), "ollama.change");
  if (!decision) {
    co_return co_await exchange.fail(decision.error());
  }
  const Error elsewhere(Error::Code::kUnimplemented,
                        "models are imported with `skerry model import` and sent with `skerry "
                        "fleet push`; none is made, copied or uploaded over HTTP");
  co_return co_await exchange.fail(elsewhere);
}

}  // namespace skerry::agent
