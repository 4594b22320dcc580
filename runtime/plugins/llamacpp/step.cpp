#include <algorithm>
#include <climits>
#include <exception>
#include <map>
#include <new>

#include "llama_plugin.hpp"

namespace skerry_llama {
namespace {

constexpr std::uint32_t kMostPoll = 100;

bool wants(const skerry_row& row) {
  return row.want != SKERRY_WANT_NOTHING;
}

std::uint32_t check_rows(const skerry_model& model,
                         const skerry_row* rows,
                         std::size_t count,
                         skerry_error* error) {
  if (count == 0 || count > model.max_rows) {
    return fail(error, SKERRY_E_ENGINE, "the number of rows is outside 1 to max_rows");
  }
  bool logits = false;
  bool embeddings = false;
  for (std::size_t i = 0; i < count; ++i) {
    const skerry_row& row = rows[i];
    if (row.sequence >= model.max_sequences + model.spare_sequences || row.token < 0 ||
        row.position < 0 || static_cast<std::size_t>(row.token) >= model.vocabulary) {
      return fail(error, SKERRY_E_ENGINE, "a row has an unknown sequence, token or position");
    }
    logits = logits || row.want == SKERRY_WANT_LOGITS;
    embeddings = embeddings || row.want == SKERRY_WANT_EMBEDDING;
  }
  if (logits && embeddings) {
    return fail(error, SKERRY_E_ENGINE, "a batch mixes logits and embeddings");
  }
  return SKERRY_OK;
}

// Takes the rows of this call out of the cache again.
void undo(skerry_model& model, const skerry_row* rows, std::size_t count) {
  std::map<std::uint32_t, std::int32_t> first;
  for (std::size_t i = 0; i < count; ++i) {
    const auto at = first.try_emplace(rows[i].sequence, rows[i].position);
    at.first->second = std::min(at.first->second, rows[i].position);
  }
  llama_memory_t memory = llama_get_memory(model.context.get());
  for (const auto& [sequence, position] : first) {
    llama_memory_seq_rm(memory, static_cast<llama_seq_id>(sequence), position, -1);
  }
}

std::uint32_t run(skerry_model& model,
                  const skerry_row* rows,
                  std::size_t count,
                  skerry_error* error) {
  llama_batch& batch = *model.batch;
  batch.n_tokens = static_cast<std::int32_t>(count);
  for (std::size_t i = 0; i < count; ++i) {
    batch.token[i] = rows[i].token;
    batch.pos[i] = rows[i].position;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = static_cast<llama_seq_id>(rows[i].sequence);
    // What is pooled takes in every row.
    batch.logits[i] = wants(rows[i]) || model.ranks ? 1 : 0;
  }
  clear_log_errors();
  model.threads_tried = true;
  const std::int32_t outcome = llama_decode(model.context.get(), batch);
  switch (outcome) {
    case 0:
      llama_synchronize(model.context.get());
      model.retired_threads.clear();
      return SKERRY_OK;
    case 1:
      return fail(error, SKERRY_E_NO_SPACE, "no KV cells are free for these tokens");
    case 2:
      return fail(error, SKERRY_E_CANCELLED, "interrupted");
    case -1:
      return fail(error, SKERRY_E_ENGINE, "llama.cpp refuses the batch: " + log_errors());
    default:
      return fail(error,
                  SKERRY_E_FATAL,
                  "llama_decode answered " + std::to_string(outcome) + ": " + log_errors());
  }
}

const float* result(skerry_model& model, std::size_t index) {
  if (model.ranks) {
    return relevance(model, index);
  }
  const auto i = static_cast<std::int32_t>(index);
  return model.embeds ? llama_get_embeddings_ith(model.context.get(), i)
                      : llama_get_logits_ith(model.context.get(), i);
}

// More outputs than the engine takes at once: parts, whose results are copied.
std::uint32_t run_in_parts(skerry_model& model,
                           const skerry_row* rows,
                           std::size_t count,
                           skerry_error* error) {
  model.copied = true;
  model.copies.assign(count, {});
  const std::size_t width = model.embeds ? model.embedding_length : model.vocabulary;
  for (std::size_t first = 0; first < count;) {
    std::size_t last = first;
    for (std::uint32_t outputs = 0; last < count; ++last) {
      outputs += wants(rows[last]) ? 1U : 0U;
      if (outputs > model.max_outputs) {
        break;
      }
    }
    if (const std::uint32_t status = run(model, rows + first, last - first, error);
        status != SKERRY_OK) {
      return status;
    }
    for (std::size_t i = first; i < last; ++i) {
      const float* values = wants(rows[i]) ? result(model, i - first) : nullptr;
      if (values != nullptr) {
        model.copies[i].assign(values, values + width);
      }
    }
    first = last;
  }
  return SKERRY_OK;
}

std::uint32_t decode(skerry_model* model,
                     const skerry_row* rows,
                     std::size_t count,
                     skerry_error* error) try {
  if (const std::uint32_t status = check_rows(*model, rows, count, error); status != SKERRY_OK) {
    return status;
  }
  model->interrupted = false;
  model->rows = count;
  model->relevances.assign(model->ranks ? count : 0, kNotWanted);
  for (std::size_t i = 0; i < model->relevances.size(); ++i) {
    model->relevances[i] = wants(rows[i]) ? 0.0F : kNotWanted;
  }
  model->copied = false;
  const bool embeds = std::any_of(
      rows, rows + count, [](const skerry_row& row) { return row.want == SKERRY_WANT_EMBEDDING; });
  // A reranker has nothing else to give.
  if (embeds != model->embeds && (embeds || !model->ranks)) {
    llama_set_embeddings(model->context.get(), embeds);
    model->embeds = embeds;
  }
  const auto outputs = std::count_if(rows, rows + count, wants);
  const bool parts = static_cast<std::size_t>(outputs) > model->max_outputs && model->causal;
  const std::uint32_t status =
      parts ? run_in_parts(*model, rows, count, error) : run(*model, rows, count, error);
  if (status != SKERRY_OK) {
    undo(*model, rows, count);
  }
  return status;
} catch (const std::bad_alloc&) {
  return fail(error, SKERRY_E_MEMORY, "out of memory while decoding");
} catch (const std::exception& exception) {
  return fail(error, SKERRY_E_FATAL, exception.what());
}

const float* output(skerry_model* model, std::size_t index) {
  if (index >= model->rows) {
    return nullptr;
  }
  if (model->copied) {
    return model->copies[index].empty() ? nullptr : model->copies[index].data();
  }
  return model->batch->logits[index] != 0 ? result(*model, index) : nullptr;
}

const float* logits(skerry_model* model, std::size_t index) {
  return model->embeds ? nullptr : output(model, index);
}

const float* embedding(skerry_model* model, std::size_t index) {
  return model->embeds ? output(model, index) : nullptr;
}

void interrupt(skerry_model* model) {
  model->interrupted = true;
}

void seq_remove(skerry_model* model, std::uint32_t sequence, std::int32_t from) {
  llama_memory_t memory = llama_get_memory(model->context.get());
  if (!llama_memory_seq_rm(memory, static_cast<llama_seq_id>(sequence), from, -1)) {
    // Recurrent state cannot go back part of the way.
    llama_memory_seq_rm(memory, static_cast<llama_seq_id>(sequence), -1, -1);
  }
}

std::uint32_t seq_copy(skerry_model* model,
                       std::uint32_t from,
                       std::uint32_t to,
                       std::int32_t length,
                       skerry_error* error) {
  const std::uint32_t sequences = model->max_sequences + model->spare_sequences;
  if (!model->shares) {
    return fail(error, SKERRY_E_UNSUPPORTED, "this model's sequences cannot share a prefix");
  }
  if (from >= sequences || to >= sequences || from == to || length < 0) {
    return fail(error, SKERRY_E_ENGINE, "there are no such sequences to copy");
  }
  llama_memory_seq_cp(llama_get_memory(model->context.get()),
                      static_cast<llama_seq_id>(from),
                      static_cast<llama_seq_id>(to),
                      0,
                      length);
  return SKERRY_OK;
}

std::int32_t clamp_int(std::size_t value) {
  return static_cast<std::int32_t>(std::min<std::size_t>(value, INT_MAX));
}

// llama.cpp answers a negative number for "that many are needed".
std::uint32_t settle(std::int32_t answer, std::size_t* count, skerry_error* error) {
  if (answer == INT_MIN) {
    return fail(error, SKERRY_E_INVALID, "the text is too long");
  }
  *count = static_cast<std::size_t>(answer < 0 ? -answer : answer);
  return SKERRY_OK;
}

std::uint32_t tokenize(skerry_model* model,
                       skerry_str text,
                       int add_special,
                       int parse_special,
                       std::int32_t* tokens,
                       std::size_t capacity,
                       std::size_t* count,
                       skerry_error* error) try {
  if (text.size > static_cast<std::size_t>(INT_MAX)) {
    return fail(error, SKERRY_E_INVALID, "the text is too long");
  }
  return settle(llama_tokenize(model->vocab,
                               text.data,
                               clamp_int(text.size),
                               tokens,
                               clamp_int(capacity),
                               add_special != 0,
                               parse_special != 0),
                count,
                error);
} catch (const std::exception& exception) {
  // The BPE tokenizers throw on text that is not UTF-8.
  return fail(error, SKERRY_E_INVALID, std::string{"tokenizing the text: "} + exception.what());
}

std::uint32_t piece(skerry_model* model,
                    std::int32_t token,
                    int special,
                    char* bytes,
                    std::size_t capacity,
                    std::size_t* count,
                    skerry_error* error) try {
  if (token < 0 || static_cast<std::size_t>(token) >= model->vocabulary) {
    return fail(error, SKERRY_E_INVALID, "there is no such token");
  }
  return settle(
      llama_token_to_piece(model->vocab, token, bytes, clamp_int(capacity), 0, special != 0),
      count,
      error);
} catch (const std::exception& exception) {
  return fail(error, SKERRY_E_ENGINE, exception.what());
}

int is_end(skerry_model* model, std::int32_t token) {
  return llama_vocab_is_eog(model->vocab, token) ? 1 : 0;
}

std::uint32_t apply_template(skerry_model* model,
                             const skerry_message* messages,
                             std::size_t message_count,
                             int add_assistant,
                             char* text,
                             std::size_t capacity,
                             std::size_t* count,
                             skerry_error* error) try {
  if (model->chat_template.empty()) {
    return fail(error,
                SKERRY_E_UNSUPPORTED,
                "the model carries no chat template: send a plain prompt instead");
  }
  std::vector<std::string> strings;
  strings.reserve(message_count * 2);
  std::vector<llama_chat_message> chat;
  for (std::size_t i = 0; i < message_count; ++i) {
    const std::string& role = strings.emplace_back(view(messages[i].role));
    const std::string& content = strings.emplace_back(view(messages[i].content));
    chat.push_back({role.c_str(), content.c_str()});
  }
  const std::int32_t length = llama_chat_apply_template(model->chat_template.c_str(),
                                                        chat.data(),
                                                        chat.size(),
                                                        add_assistant != 0,
                                                        text,
                                                        clamp_int(capacity));
  if (length < 0) {
    return fail(error,
                SKERRY_E_UNSUPPORTED,
                "llama.cpp does not know this model's chat template, which begins \"" +
                    model->chat_template.substr(0, 80) + "\": send a plain prompt instead");
  }
  *count = static_cast<std::size_t>(length);
  return SKERRY_OK;
} catch (const std::exception& exception) {
  return fail(error, SKERRY_E_ENGINE, exception.what());
}

std::uint32_t set_threads(skerry_model* model,
                          std::uint32_t threads,
                          std::uint32_t poll,
                          skerry_error* error) try {
  if (threads == 0 || threads > model->most_threads || poll > kMostPoll) {
    return fail(error,
                SKERRY_E_INVALID,
                "threads must be 1 to " + std::to_string(model->most_threads) +
                    " and poll 0 to 100, not " + std::to_string(threads) + " and " +
                    std::to_string(poll));
  }
  return use_threads(*model, threads, model->fixed_poll.value_or(poll), error);
} catch (const std::exception& exception) {
  return fail(error, SKERRY_E_ENGINE, exception.what());
}

}  // namespace

const skerry_step* step_table() {
  static constexpr skerry_step kTable{.size = sizeof(skerry_step),
                                      .decode = decode,
                                      .logits = logits,
                                      .embedding = embedding,
                                      .interrupt = interrupt,
                                      .seq_remove = seq_remove,
                                      .seq_copy = seq_copy,
                                      .tokenize = tokenize,
                                      .piece = piece,
                                      .is_end = is_end,
                                      .apply_template = apply_template,
                                      .set_threads = set_threads,
                                      .seq_state_size = seq_state_size,
                                      .seq_save = seq_save,
                                      .seq_restore = seq_restore,
                                      .pair = pair};
  return &kTable;
}

}  // namespace skerry_llama
