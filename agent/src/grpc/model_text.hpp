#pragma once

// ServedModel → the protos that describe it, shared by the model and admin services.

#include "skerry/admin/v1/admin.pb.h"
#include "skerry/agent/model_host.hpp"
#include "skerry/agent/slot_manager.hpp"
#include "skerry/models/v1/models.pb.h"

namespace skerry::agent {

inline std::uint64_t unix_ms(WallTime time) {
  return static_cast<std::uint64_t>(time.time_since_epoch().count());
}

void fill_prompts(const std::vector<runtime::PinStatus>& from,
                  google::protobuf::RepeatedPtrField<skerry::models::v1::PinnedPrompt>* to);

void fill_model(const ModelHost& host, const ServedModel& model, skerry::models::v1::Model* out);
void fill_generation(const registry::SlotGeneration& generation, skerry::models::v1::Model* out);
void fill_slot(const ModelHost& host,
               const SlotView& view,
               const registry::Slot* stored,
               skerry::admin::v1::SlotStatus* out);

}  // namespace skerry::agent
