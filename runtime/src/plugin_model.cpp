#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "skerry/runtime/chat_style.hpp"
#include "skerry/runtime/text_filter.hpp"

#include "plugin_abi.hpp"

namespace skerry::runtime {
namespace {

// A tokenizer or template that asks for more than this is broken.
constexpr std::size_t kMaxGrown = 64U << 20U;
// As plugin.h has it.
constexpr std::size_t kMaxStateFormat = 200;

class PluginModelImpl final : public PluginModel {
 public:
  PluginModelImpl(const skerry_plugin& table, skerry_model* model) : table_(table), model_(model) {}
  ~PluginModelImpl() override { table_.unload(model_); }
  PluginModelImpl(const PluginModelImpl&) = delete;
  PluginModelImpl& operator=(const PluginModelImpl&) = delete;

  Result<void> read_info(const PluginLoad& load, const PluginCapabilities& capabilities);

  [[nodiscard]] const ModelInfo& info() const override { return info_; }
  [[nodiscard]] bool steps() const override {
    return table_.step != nullptr && info_.context_length > 0;
  }
  [[nodiscard]] bool whole_sequence() const override { return whole_sequence_; }
  [[nodiscard]] std::uint32_t max_rows() const override { return max_rows_; }
  [[nodiscard]] std::uint32_t sequences() const override { return sequences_; }
  [[nodiscard]] std::uint32_t max_concurrency() const override { return max_concurrency_; }

  DecodeOutcome decode(std::span<const Row> rows) override {
    rows_.clear();
    for (const Row& row : rows) {
      rows_.push_back(skerry_row{.sequence = row.sequence,
                                 .position = row.position,
                                 .token = row.token,
                                 .want = static_cast<std::uint32_t>(row.want)});
    }
    AbiError error;
    switch (table_.step->decode(model_, rows_.data(), rows_.size(), &error)) {
      case SKERRY_OK:
        return {DecodeStatus::kOk, {}, false};
      case SKERRY_E_NO_SPACE:
        return {DecodeStatus::kNoSpace, error.text(), false};
      case SKERRY_E_CANCELLED:
        return {DecodeStatus::kCancelled, {}, false};
      case SKERRY_E_MEMORY:
        return {DecodeStatus::kDead, error.text(), true};
      case SKERRY_E_FATAL:
        return {DecodeStatus::kDead, error.text(), false};
      default:
        return {DecodeStatus::kFailed, error.text(), false};
    }
  }

  std::span<const float> logits(std::size_t index) override {
    const float* values = table_.step->logits(model_, index);
    return values == nullptr ? std::span<const float>{}
                             : std::span<const float>{values, info_.vocabulary};
  }

  std::span<const float> embedding(std::size_t index) override {
    const float* values = table_.step->embedding(model_, index);
    const std::size_t length = info_.can_rank ? 1 : info_.embedding_length;
    return values == nullptr ? std::span<const float>{} : std::span<const float>{values, length};
  }

  void remove_sequence(std::uint32_t sequence) override {
    table_.step->seq_remove(model_, sequence, 0);
  }

  [[nodiscard]] bool can_copy() const override { return copies_; }

  Result<void> copy_sequence(std::uint32_t from, std::uint32_t to, std::size_t length) override {
    AbiError error;
    const std::uint32_t status =
        table_.step->seq_copy(model_, from, to, static_cast<std::int32_t>(length), &error);
    return status == SKERRY_OK ? Result<void>{} : Result<void>{error.to_error(status)};
  }

  [[nodiscard]] bool can_trim() const override { return trims_; }

  void trim_sequence(std::uint32_t sequence, std::size_t length) override {
    table_.step->seq_remove(model_, sequence, static_cast<std::int32_t>(length));
  }

  [[nodiscard]] std::string state_format() const override { return state_format_; }

  Result<std::uint64_t> state_size(std::uint32_t sequence) override {
    AbiError error;
    std::uint64_t bytes = 0;
    const std::uint32_t status = table_.step->seq_state_size(model_, sequence, &bytes, &error);
    return status == SKERRY_OK ? Result<std::uint64_t>{bytes}
                               : Result<std::uint64_t>{error.to_error(status)};
  }

  Result<std::size_t> save_state(std::uint32_t sequence, std::span<std::uint8_t> out) override {
    AbiError error;
    std::size_t count = 0;
    const std::uint32_t status =
        table_.step->seq_save(model_, sequence, out.data(), out.size(), &count, &error);
    if (status != SKERRY_OK) {
      return error.to_error(status);
    }
    if (count > out.size()) {
      return Error{Error::Code::kPluginInvalid, "the plugin saved more than there was room for"};
    }
    return count;
  }

  Result<void> restore_state(std::uint32_t sequence, ByteView state, std::size_t length) override {
    AbiError error;
    const std::uint32_t status = table_.step->seq_restore(
        model_, sequence, state.data(), state.size(), static_cast<std::int32_t>(length), &error);
    return status == SKERRY_OK ? Result<void>{} : Result<void>{error.to_error(status)};
  }

  Result<std::vector<std::int32_t>> tokenize(std::string_view text,
                                             bool add_special,
                                             bool parse_special) override {
    return fill<std::vector<std::int32_t>>(
        text.size() + 8,
        [&](std::int32_t* out, std::size_t capacity, std::size_t* count, skerry_error* error) {
          return table_.step->tokenize(model_,
                                       to_abi(text),
                                       add_special ? 1 : 0,
                                       parse_special ? 1 : 0,
                                       out,
                                       capacity,
                                       count,
                                       error);
        });
  }

  Result<std::vector<std::int32_t>> pair(std::string_view query,
                                         std::string_view document) override {
    if (!info_.can_rank) {
      return StepEngine::pair(query, document);
    }
    return fill<std::vector<std::int32_t>>(
        query.size() + document.size() + 16,
        [&](std::int32_t* out, std::size_t capacity, std::size_t* count, skerry_error* error) {
          return table_.step->pair(
              model_, to_abi(query), to_abi(document), out, capacity, count, error);
        });
  }

  Result<std::string> piece(std::int32_t token) override {
    return fill<std::string>(
        64, [&](char* out, std::size_t capacity, std::size_t* count, skerry_error* error) {
          return table_.step->piece(model_, token, 0, out, capacity, count, error);
        });
  }

  Result<std::string> control_piece(std::int32_t token) override {
    const auto text = [&](int special) {
      return fill<std::string>(
          64, [&](char* out, std::size_t capacity, std::size_t* count, skerry_error* error) {
            return table_.step->piece(model_, token, special, out, capacity, count, error);
          });
    };
    auto plain = text(0);
    if (!plain || !plain->empty()) {
      return plain ? Result<std::string>{std::string{}} : std::move(plain);
    }
    return text(1);
  }

  [[nodiscard]] ChatSource chat_source() const override { return chat_; }

  bool is_end(std::int32_t token) override { return table_.step->is_end(model_, token) != 0; }

  Result<std::string> apply_template(std::span<const ChatMessage> messages) override {
    std::vector<skerry_message> abi;
    std::size_t size = 256;
    for (const ChatMessage& message : messages) {
      abi.push_back(
          skerry_message{.role = to_abi(message.role), .content = to_abi(message.content)});
      size += message.role.size() + message.content.size() + 32;
    }
    return fill<std::string>(
        size, [&](char* out, std::size_t capacity, std::size_t* count, skerry_error* error) {
          return table_.step->apply_template(
              model_, abi.data(), abi.size(), 1, out, capacity, count, error);
        });
  }

  void interrupt() override {
    if (table_.step != nullptr && table_.step->interrupt != nullptr) {
      table_.step->interrupt(model_);
    }
  }

  [[nodiscard]] bool sets_threads() const override {
    constexpr std::size_t kEnd = offsetof(skerry_step, set_threads) + sizeof(void*);
    return table_.step != nullptr && table_.step->size >= kEnd &&
           table_.step->set_threads != nullptr;
  }

  Result<void> set_threads(std::uint32_t threads, std::uint32_t poll) override {
    if (!sets_threads()) {
      return Error{Error::Code::kUnimplemented, "the plugin cannot change its threads"};
    }
    AbiError error;
    const std::uint32_t status = table_.step->set_threads(model_, threads, poll, &error);
    return status == SKERRY_OK ? Result<void>{} : Result<void>{error.to_error(status)};
  }

  Result<Tensors> run(std::uint64_t key, const InferRequest& request) override;

  void cancel(std::uint64_t key) override {
    if (table_.infer != nullptr) {
      table_.infer->cancel(model_, key);
    }
  }

 private:
  // The ABI's buffer rule: call, and call again if it did not fit.
  template <class Buffer, class Call>
  static Result<Buffer> fill(std::size_t first_guess, Call call) {
    Buffer buffer;
    buffer.resize(first_guess);
    for (int attempt = 0; attempt < 2; ++attempt) {
      AbiError error;
      std::size_t count = 0;
      const std::uint32_t status = call(buffer.data(), buffer.size(), &count, &error);
      if (status != SKERRY_OK) {
        return error.to_error(status);
      }
      if (count <= buffer.size()) {
        buffer.resize(count);
        return buffer;
      }
      if (count > kMaxGrown) {
        break;
      }
      buffer.resize(count);
    }
    return Error{Error::Code::kPluginInvalid, "the plugin does not settle on a length"};
  }

  const skerry_plugin& table_;
  skerry_model* model_;
  ModelInfo info_;
  ChatSource chat_;
  bool whole_sequence_ = false;
  bool copies_ = false;
  bool trims_ = false;
  std::string state_format_;
  std::uint32_t sequences_ = 1;
  std::uint32_t max_rows_ = 1;
  std::uint32_t max_concurrency_ = 1;
  std::vector<skerry_row> rows_;
};

std::vector<TensorInfo> copy_tensors(const skerry_tensor_info* infos, std::size_t count) {
  std::vector<TensorInfo> list;
  for (std::size_t i = 0; i < count; ++i) {
    TensorInfo info;
    info.name = to_valid_utf8(from_abi(infos[i].name));
    info.type = static_cast<DataType>(infos[i].datatype);
    info.shape.assign(infos[i].shape, infos[i].shape + std::min(infos[i].rank, SKERRY_MAX_RANK));
    list.push_back(std::move(info));
  }
  return list;
}

Result<void> PluginModelImpl::read_info(const PluginLoad& load,
                                        const PluginCapabilities& capabilities) {
  skerry_model_info out{};
  out.size = sizeof out;
  AbiError error;
  if (const std::uint32_t status = table_.info(model_, &out, &error); status != SKERRY_OK) {
    return error.to_error(status);
  }
  const auto has = [&](std::uint32_t feature) { return (out.features & feature) != 0; };
  info_.digest = load.model;
  info_.plugin = capabilities.name;
  info_.plugin_version = capabilities.version;
  info_.engine_version = capabilities.engine_version;
  info_.architecture = to_valid_utf8(from_abi(out.architecture));
  info_.accelerator = from_abi(out.accelerator);
  info_.can_generate = has(SKERRY_FEATURE_GENERATE);
  constexpr std::size_t kPairEnd = offsetof(skerry_step, pair) + sizeof(void*);
  info_.can_rank = has(SKERRY_FEATURE_RANK) && table_.step != nullptr &&
                   table_.step->size >= kPairEnd && table_.step->pair != nullptr;
  info_.can_embed = has(SKERRY_FEATURE_EMBED) && !info_.can_rank;
  info_.can_score = has(SKERRY_FEATURE_SCORE);
  info_.can_chat = has(SKERRY_FEATURE_CHAT);
  info_.can_infer = has(SKERRY_FEATURE_TENSORS);
  chat_.text = from_abi(out.chat_template);
  chat_.begin = from_abi(out.begin_text);
  chat_.end = from_abi(out.end_text);
  info_.chat_style = read_chat_style(chat_.text);
  info_.context_length = out.context_length;
  info_.context_total = std::max(out.context_total, out.context_length);
  info_.vocabulary = out.vocabulary;
  info_.embedding_length = out.embedding_length;
  info_.max_sequences = out.max_sequences;
  info_.inputs = copy_tensors(out.inputs, out.input_count);
  info_.outputs = copy_tensors(out.outputs, out.output_count);
  for (std::size_t i = 0; i < out.memory_count; ++i) {
    const skerry_memory_item& item = out.memory[i];
    std::uint64_t& sum = item.kind == SKERRY_MEMORY_WEIGHTS_MAPPED ? info_.memory.weights_mapped
                         : item.kind == SKERRY_MEMORY_WEIGHTS      ? info_.memory.weights
                         : item.kind == SKERRY_MEMORY_KV           ? info_.memory.kv
                                                                   : info_.memory.compute;
    sum += item.bytes;
  }
  whole_sequence_ = has(SKERRY_FEATURE_WHOLE_SEQUENCE);
  copies_ =
      has(SKERRY_FEATURE_SEQ_COPY) && table_.step != nullptr && table_.step->seq_copy != nullptr;
  trims_ = has(SKERRY_FEATURE_SEQ_TRIM) && table_.step != nullptr;
  constexpr std::size_t kStateEnd = offsetof(skerry_step, seq_restore) + sizeof(void*);
  if (has(SKERRY_FEATURE_SEQ_STATE) && copies_ && table_.step->size >= kStateEnd &&
      table_.step->seq_state_size != nullptr && table_.step->seq_save != nullptr &&
      table_.step->seq_restore != nullptr && out.state_format.size <= kMaxStateFormat) {
    state_format_ = to_valid_utf8(from_abi(out.state_format));
  }
  sequences_ = out.max_sequences + std::min(out.spare_sequences, load.spare_sequences);
  max_rows_ = std::max(out.max_rows, 1U);
  max_concurrency_ = std::clamp(out.max_concurrency, 1U, 8U);
  if (steps() && (out.vocabulary == 0 || out.max_sequences == 0)) {
    return Error{Error::Code::kPluginInvalid, "the plugin gave a token model without vocabulary"};
  }
  return {};
}

Result<Tensors> PluginModelImpl::run(std::uint64_t key, const InferRequest& request) {
  if (table_.infer == nullptr) {
    return Error{Error::Code::kUnimplemented,
                 "this model answers text, not tensors: use generate, embed or score"};
  }
  std::vector<skerry_tensor> inputs;
  for (const Tensor& tensor : request.inputs) {
    if (auto checked = check_tensor(tensor); !checked) {
      return checked.error();
    }
    inputs.push_back(to_abi(tensor));
  }
  std::vector<skerry_str> outputs;
  for (const std::string& name : request.outputs) {
    outputs.push_back(to_abi(name));
  }
  struct Collected {
    Tensors tensors;
    std::optional<Error> error;
  } collected;
  skerry_infer_request abi{};
  abi.size = sizeof abi;
  abi.id = key;
  std::memcpy(abi.model_digest, request.meta.model.bytes().data(), sizeof abi.model_digest);
  abi.inputs = inputs.data();
  abi.input_count = inputs.size();
  abi.outputs = outputs.data();
  abi.output_count = outputs.size();
  abi.emit_ctx = &collected;
  abi.emit = [](void* ctx, const skerry_tensor* tensors, std::size_t count) -> int {
    auto& into = *static_cast<Collected*>(ctx);
    for (std::size_t i = 0; i < count && !into.error; ++i) {
      auto tensor = from_abi(tensors[i]);
      if (!tensor) {
        into.error = tensor.error();
        return 1;
      }
      into.tensors.outputs.push_back(std::move(*tensor));
    }
    return into.error ? 1 : 0;
  };
  AbiError error;
  const std::uint32_t status = table_.infer->run(model_, &abi, &error);
  if (collected.error) {
    return *collected.error;
  }
  if (status != SKERRY_OK) {
    return error.to_error(status);
  }
  return std::move(collected.tensors);
}

}  // namespace

Result<std::unique_ptr<PluginModel>> make_plugin_model(const skerry_plugin& plugin,
                                                       skerry_model* model,
                                                       const PluginLoad& load,
                                                       const PluginCapabilities& capabilities) {
  auto made = std::make_unique<PluginModelImpl>(plugin, model);
  if (auto read = made->read_info(load, capabilities); !read) {
    return read.error().with_context("describing the model");
  }
  return std::unique_ptr<PluginModel>{std::move(made)};
}

}  // namespace skerry::runtime
