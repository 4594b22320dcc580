#include "model_text.hpp"

#include <string>

namespace skerry::agent {
namespace {

void fill_tensors(const std::vector<runtime::TensorInfo>& from,
                  google::protobuf::RepeatedPtrField<skerry::models::v1::TensorInfo>* to) {
  for (const runtime::TensorInfo& info : from) {
    skerry::models::v1::TensorInfo& out = *to->Add();
    out.set_name(info.name);
    out.set_datatype(std::string{to_string(info.type)});
    out.mutable_shape()->Add(info.shape.begin(), info.shape.end());
  }
}

}  // namespace

void fill_prompts(const std::vector<runtime::PinStatus>& from,
                  google::protobuf::RepeatedPtrField<skerry::models::v1::PinnedPrompt>* to) {
  for (const runtime::PinStatus& pin : from) {
    skerry::models::v1::PinnedPrompt& out = *to->Add();
    out.set_name(pin.name);
    out.set_state(std::string{to_string(pin.state)});
    out.set_tokens(pin.tokens);
    out.set_problem(pin.problem);
  }
}

void fill_generation(const registry::SlotGeneration& generation, skerry::models::v1::Model* out) {
  out->set_name(generation.model.to_string());
  out->set_version(generation.version);
  out->set_variant(generation.variant);
  out->set_manifest_digest(generation.manifest.to_string());
  out->set_variant_reason(generation.reason);
  out->set_activated_at_unix_ms(unix_ms(generation.activated_at));
  out->set_generation(generation.generation);
}

void fill_model(const ModelHost& host, const ServedModel& model, skerry::models::v1::Model* out) {
  fill_generation(model.generation, out);
  out->set_slot(model.slot);
  out->set_state(model.on_trial ? "probation" : "committed");
  out->set_model_digest(model.weights.to_string());
  out->set_runtime(model.variant.needs.runtime);
  out->set_size_bytes(model.variant.total_size());
  const runtime::ModelInfo* info = host.info(model);
  out->set_loaded(info != nullptr);
  fill_prompts(host.prompts(model), out->mutable_pinned_prompts());
  if (info != nullptr) {
    out->set_context_length(info->context_length);
    fill_tensors(info->inputs, out->mutable_inputs());
    fill_tensors(info->outputs, out->mutable_outputs());
  } else {
    out->set_context_length(model.manifest->manifest.activation.context_length);
  }
}

void fill_slot(const ModelHost& host,
               const SlotView& view,
               const registry::Slot* stored,
               skerry::admin::v1::SlotStatus* out) {
  const activation::Record& record = view.record;
  out->set_slot(view.slot);
  out->set_state(std::string{activation::to_string(record.state)});
  out->set_reason(record.reason_code.empty() ? record.reason
                                             : record.reason_code + ": " + record.reason);
  out->set_target(record.offer.target);
  out->set_desired_generation(record.seen_generation);
  out->set_fetched_bytes(view.progress.fetched_bytes);
  out->set_total_bytes(view.progress.total_bytes);
  out->set_reused_bytes(view.progress.reused_bytes);
  out->set_done_bytes(view.progress.done_bytes);
  for (const auto& [source, bytes] : view.progress.by_source) {
    skerry::admin::v1::SourceShare& share = *out->add_sources();
    share.set_source(source);
    share.set_bytes(bytes);
  }
  for (const std::string& reason : record.variant_reasons) {
    out->add_variant_reasons(reason);
  }
  if (const ServedModelPtr active = host.in_slot(view.slot)) {
    fill_model(host, *active, out->mutable_active());
  }
  if (stored != nullptr && stored->previous) {
    fill_generation(*stored->previous, out->mutable_previous());
  }
}

}  // namespace skerry::agent
