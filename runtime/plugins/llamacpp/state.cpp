// What the engine has computed of a sequence, as bytes and back. Before the engine's own form
// stands a head of ours, so that bytes which were cut or are something else never reach its parser.

#include <cstring>
#include <exception>
#include <new>

#include "llama_plugin.hpp"

namespace skerry_llama {
namespace {

struct Head {
  char mark[16] = {};
  std::uint64_t length = 0;  // positions
  std::uint64_t bytes = 0;   // of the engine's form, which follow
};
constexpr char kMark[16] = "skerry llama 1\n";

bool has_sequence(const skerry_model& model, std::uint32_t sequence) {
  return model.shares && sequence < model.max_sequences + model.spare_sequences;
}

std::uint32_t no_sequence(const skerry_model& model, skerry_error* error) {
  return model.shares ? fail(error, SKERRY_E_ENGINE, "there is no such sequence")
                      : fail(error, SKERRY_E_UNSUPPORTED, "this model's states cannot be saved");
}

// Positions that a sequence holds if it holds them from the first one on, else -1.
std::int32_t positions(const skerry_model& model, std::uint32_t sequence) {
  llama_memory_t memory = llama_get_memory(model.context.get());
  const auto id = static_cast<llama_seq_id>(sequence);
  const llama_pos last = llama_memory_seq_pos_max(memory, id);
  if (last < 0) {
    return 0;
  }
  return llama_memory_seq_pos_min(memory, id) == 0 ? last + 1 : -1;
}

void empty(skerry_model& model, std::uint32_t sequence) {
  llama_memory_seq_rm(
      llama_get_memory(model.context.get()), static_cast<llama_seq_id>(sequence), -1, -1);
}

std::uint32_t restore(skerry_model& model,
                      std::uint32_t sequence,
                      const std::uint8_t* bytes,
                      std::size_t size,
                      std::int32_t length,
                      skerry_error* error) {
  Head head;
  if (size < sizeof head) {
    return fail(error, SKERRY_E_INVALID, "these bytes are no state of a sequence");
  }
  std::memcpy(&head, bytes, sizeof head);
  if (std::memcmp(head.mark, kMark, sizeof kMark) != 0 || head.bytes != size - sizeof head) {
    return fail(error, SKERRY_E_INVALID, "these bytes are no whole state of a sequence");
  }
  if (length <= 0 || head.length != static_cast<std::uint64_t>(length)) {
    return fail(error, SKERRY_E_INVALID, "the state is of another length");
  }
  clear_log_errors();
  const std::size_t taken = llama_state_seq_set_data(model.context.get(),
                                                     bytes + sizeof head,
                                                     size - sizeof head,
                                                     static_cast<llama_seq_id>(sequence));
  if (taken != size - sizeof head) {
    // Its log says whether cells were missing or the bytes were not understood.
    const std::string why = log_errors();
    const bool no_cells = why.find("available cells") != std::string::npos;
    return fail(error,
                no_cells ? SKERRY_E_NO_SPACE : SKERRY_E_INVALID,
                "llama.cpp does not take the state: " + why);
  }
  if (positions(model, sequence) != length) {
    return fail(error, SKERRY_E_INVALID, "the state does not hold the positions that it names");
  }
  return SKERRY_OK;
}

}  // namespace

std::uint32_t seq_state_size(skerry_model* model,
                             std::uint32_t sequence,
                             std::uint64_t* bytes,
                             skerry_error* error) try {
  if (!has_sequence(*model, sequence)) {
    return no_sequence(*model, error);
  }
  *bytes = sizeof(Head) +
           llama_state_seq_get_size(model->context.get(), static_cast<llama_seq_id>(sequence));
  return SKERRY_OK;
} catch (const std::exception& exception) {
  return fail(error, SKERRY_E_ENGINE, exception.what());
}

std::uint32_t seq_save(skerry_model* model,
                       std::uint32_t sequence,
                       void* bytes,
                       std::size_t capacity,
                       std::size_t* count,
                       skerry_error* error) try {
  if (!has_sequence(*model, sequence)) {
    return no_sequence(*model, error);
  }
  const std::int32_t length = positions(*model, sequence);
  if (length < 0) {
    return fail(error, SKERRY_E_ENGINE, "the sequence does not begin at its first position");
  }
  const auto id = static_cast<llama_seq_id>(sequence);
  const std::size_t size = llama_state_seq_get_size(model->context.get(), id);
  if (capacity < sizeof(Head) || capacity - sizeof(Head) < size) {
    return fail(error, SKERRY_E_NO_SPACE, "the state does not fit");
  }
  auto* out = static_cast<std::uint8_t*>(bytes);
  const std::size_t written =
      llama_state_seq_get_data(model->context.get(), out + sizeof(Head), size, id);
  if (written == 0 || written > size) {
    return fail(error, SKERRY_E_ENGINE, "llama.cpp cannot save the sequence: " + log_errors());
  }
  Head head;
  std::memcpy(head.mark, kMark, sizeof kMark);
  head.length = static_cast<std::uint64_t>(length);
  head.bytes = written;
  std::memcpy(out, &head, sizeof head);
  *count = sizeof head + written;
  return SKERRY_OK;
} catch (const std::exception& exception) {
  return fail(error, SKERRY_E_ENGINE, exception.what());
}

std::uint32_t seq_restore(skerry_model* model,
                          std::uint32_t sequence,
                          const void* bytes,
                          std::size_t size,
                          std::int32_t length,
                          skerry_error* error) {
  if (!has_sequence(*model, sequence)) {
    return no_sequence(*model, error);
  }
  std::uint32_t status = SKERRY_E_ENGINE;
  try {
    status =
        restore(*model, sequence, static_cast<const std::uint8_t*>(bytes), size, length, error);
  } catch (const std::bad_alloc&) {
    status = fail(error, SKERRY_E_MEMORY, "out of memory while restoring a sequence");
  } catch (const std::exception& exception) {
    status = fail(error, SKERRY_E_ENGINE, exception.what());
  }
  if (status != SKERRY_OK) {
    empty(*model, sequence);
  }
  return status;
}

}  // namespace skerry_llama
