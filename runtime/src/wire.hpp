#pragma once

// Between the domain's requests and events and the worker protocol's messages. The supervisor
// parses what a worker sent, which may be anything: `parse_*` refuse what makes no sense.

#include <cstdint>
#include <string>

#include "skerry/common/result.hpp"
#include "skerry/runtime/model_info.hpp"
#include "skerry/runtime/pinned_prompt.hpp"
#include "skerry/runtime/plugin_host.hpp"
#include "skerry/runtime/prefix_tier.hpp"
#include "skerry/runtime/request.hpp"
#include "skerry/worker/v1/worker.pb.h"

namespace skerry::runtime::wire {

namespace pb = skerry::worker::v1;

void put_request(std::uint64_t key, Request request, pb::Submit& out);
Result<Request> parse_request(pb::Submit& in);

void put_event(std::uint64_t key, Event event, pb::Event& out);
Result<Event> parse_event(pb::Event& in);

void put_model(const ModelInfo& info, pb::Loaded& out);
// Fills what the worker knows; digest, plugin names, sandbox and times are the supervisor's.
Result<void> parse_model(const pb::Loaded& in, ModelInfo& info);

void put_sandbox(const security::SandboxReport& report, pb::SetupDone& out);
security::SandboxReport parse_sandbox(const pb::SetupDone& in);

void put_file(const PluginFile& file, pb::File& out);
Result<PluginFile> parse_file(const pb::File& in);

void put_error(const Error& error, pb::Failed& out);
// A code that is not listed becomes kWorkerLost.
Error parse_error(std::uint32_t code, const std::string& message);

// The second tier of the prefix cache. What a worker saves comes with a descriptor, which is not
// looked at here.
inline constexpr std::size_t kMostPrefixNames = 8192;  // of a state: 262,144 tokens
inline constexpr std::size_t kMostQueryNames = 1024;
struct SavedPrefix {
  PrefixState state;
  std::uint64_t size = 0;
};
struct PrefixQuestion {
  RequestKey key = 0;
  std::string format;
  std::vector<Digest> names;
  bool pinned = false;
};
void put_prefix(const PrefixState& state, std::uint64_t size, pb::PrefixSave& out);
Result<SavedPrefix> parse_prefix(const pb::PrefixSave& in);
void put_question(const PrefixQuestion& question, pb::PrefixQuery& out);
Result<PrefixQuestion> parse_question(const pb::PrefixQuery& in);

// Prompts that are pinned, and how they are.
void put_prompts(const std::vector<PinnedPrompt>& prompts, pb::Load& out);
std::vector<PinnedPrompt> parse_prompts(const pb::Load& in);
void put_pins(const std::vector<PinStatus>& pins, pb::PromptStates& out);
Result<std::vector<PinStatus>> parse_pins(const pb::PromptStates& in);

// Parts that requests and events share.
void put_tensor(Tensor tensor, pb::Tensor& out);
Result<std::vector<Tensor>> parse_tensors(google::protobuf::RepeatedPtrField<pb::Tensor>& in);

inline Error malformed(std::string_view what) {
  return Error{Error::Code::kParse, "a worker message has a malformed " + std::string{what}};
}
inline void put_tokens(const std::vector<std::int32_t>& tokens,
                       google::protobuf::RepeatedField<std::int32_t>& out) {
  out.Add(tokens.begin(), tokens.end());
}
inline std::vector<std::int32_t> parse_tokens(
    const google::protobuf::RepeatedField<std::int32_t>& in) {
  return {in.begin(), in.end()};
}

}  // namespace skerry::runtime::wire
