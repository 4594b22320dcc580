#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "null_model.hpp"

namespace skerry_null {
namespace {

// How much the chosen token stands above the others: sampling at temperature 1 strays at times.
constexpr float kConfidence = 9.0F;

std::string text_of(const Sequence& sequence) {
  std::string text;
  for (std::size_t i = 0; i < sequence.prompt; ++i) {
    if (sequence.tokens[i] < kEnd) {
      text.push_back(static_cast<char>(sequence.tokens[i]));
    }
  }
  return text;
}

std::uint32_t misbehave(skerry_model& model,
                        const Sequence& sequence,
                        const std::string& prompt,
                        skerry_error* error) {
  const std::size_t generated = sequence.tokens.size() - sequence.prompt;
  std::string_view fault = model.fault;
  if (model.commands && prompt.starts_with('!')) {
    fault = std::string_view{prompt}.substr(1);
  }
  if (fault.empty() || generated != model.fault_at) {
    return SKERRY_OK;
  }
  if (fault == "fail") {
    return fail(error, SKERRY_E_ENGINE, "the null engine was told to fail this sequence");
  }
  if (fault == "fatal") {
    return fail(error, SKERRY_E_FATAL, "the null engine was told to die");
  }
  commit_fault(fault);
  return SKERRY_OK;
}

std::string answer_for(const skerry_model& model, const std::string& prompt) {
  if (model.commands && prompt == "!probe") {
    return probe_sandbox();
  }
  return model.has_answer ? model.answer : prompt;
}

std::vector<float> next_logits(const skerry_model& model, const Sequence& sequence) {
  const std::string answer = answer_for(model, text_of(sequence));
  const std::size_t generated = sequence.tokens.size() - sequence.prompt;
  const std::size_t chosen =
      generated < answer.size() ? static_cast<unsigned char>(answer[generated]) : kEnd;
  std::vector<float> logits(kVocabulary, 0.0F);
  logits[chosen] = kConfidence;
  return logits;
}

std::vector<float> embed(std::int32_t token) {
  std::vector<float> values(kEmbedding);
  for (std::uint32_t i = 0; i < kEmbedding; ++i) {
    values[i] = 1.0F + static_cast<float>((static_cast<std::uint32_t>(token) >> i) & 1U);
  }
  return values;
}

// A pair is the query, kBegin and the document. The share of the query's words that the document
// has.
float relevance(const Sequence& sequence) {
  std::set<std::string> sides[2];
  std::string word;
  std::size_t side = 0;
  const auto end_word = [&] {
    if (!word.empty()) {
      sides[side].insert(std::exchange(word, {}));
    }
  };
  for (const std::int32_t token : sequence.tokens) {
    if (token == kBegin || token == ' ') {
      end_word();
      side = token == kBegin ? 1 : side;
    } else {
      word.push_back(static_cast<char>(token));
    }
  }
  end_word();
  const auto found = std::count_if(sides[0].begin(), sides[0].end(), [&](const std::string& one) {
    return sides[1].contains(one);
  });
  return sides[0].empty() ? 0.0F : static_cast<float>(found) / static_cast<float>(sides[0].size());
}

std::uint32_t check_rows(const skerry_model& model,
                         const skerry_row* rows,
                         std::size_t count,
                         skerry_error* error) {
  if (count == 0 || count > model.max_rows) {
    return fail(error, SKERRY_E_ENGINE, "the number of rows is outside 1 to max_rows");
  }
  std::map<std::uint32_t, std::size_t> lengths;
  for (std::size_t i = 0; i < count; ++i) {
    const skerry_row& row = rows[i];
    if (row.sequence >= model.sequences.size() || row.token < 0 ||
        static_cast<std::uint32_t>(row.token) >= kVocabulary) {
      return fail(error, SKERRY_E_ENGINE, "a row has an unknown sequence or token");
    }
    const auto at = lengths.try_emplace(row.sequence, model.sequences[row.sequence].tokens.size());
    if (row.position < 0 || static_cast<std::size_t>(row.position) != at.first->second) {
      return fail(error, SKERRY_E_ENGINE, "positions of a sequence are not consecutive");
    }
    if (++at.first->second > model.context_length) {
      return fail(error, SKERRY_E_NO_SPACE, "the context is full");
    }
  }
  return SKERRY_OK;
}

std::uint32_t decode(skerry_model* model,
                     const skerry_row* rows,
                     std::size_t count,
                     skerry_error* error) {
  if (const std::uint32_t status = check_rows(*model, rows, count, error); status != SKERRY_OK) {
    return status;
  }
  if (!pass_time(*model, model->step_ms)) {
    return fail(error, SKERRY_E_CANCELLED, "interrupted");
  }
  const std::vector<Sequence> before = model->sequences;
  model->logits.assign(count, {});
  model->embeddings.assign(count, {});
  try {
    for (std::size_t i = 0; i < count; ++i) {
      Sequence& sequence = model->sequences[rows[i].sequence];
      sequence.tokens.push_back(rows[i].token);
      if (rows[i].want == SKERRY_WANT_EMBEDDING) {
        model->embeddings[i] =
            model->ranks ? std::vector<float>{relevance(sequence)} : embed(rows[i].token);
      } else if (rows[i].want == SKERRY_WANT_NOTHING) {
        sequence.prompt = 0;  // more of a prompt
      } else if (rows[i].want == SKERRY_WANT_LOGITS) {
        if (sequence.prompt == 0) {
          sequence.prompt = sequence.tokens.size();
        }
        const std::uint32_t status = misbehave(*model, sequence, text_of(sequence), error);
        if (status != SKERRY_OK) {
          model->sequences = before;
          return status;
        }
        model->logits[i] = next_logits(*model, sequence);
      }
    }
  } catch (const std::bad_alloc&) {
    return fail(error, SKERRY_E_MEMORY, "out of memory");
  }
  model->host->heartbeat(model->host->ctx);
  return SKERRY_OK;
}

const float* logits(skerry_model* model, std::size_t index) {
  return index < model->logits.size() && !model->logits[index].empty() ? model->logits[index].data()
                                                                       : nullptr;
}

const float* embedding(skerry_model* model, std::size_t index) {
  return index < model->embeddings.size() && !model->embeddings[index].empty()
             ? model->embeddings[index].data()
             : nullptr;
}

void interrupt(skerry_model* model) {
  model->interrupted = true;
}

void seq_remove(skerry_model* model, std::uint32_t sequence, std::int32_t from) {
  if (sequence >= model->sequences.size()) {
    return;
  }
  Sequence& one = model->sequences[sequence];
  const std::size_t kept = std::min(one.tokens.size(), static_cast<std::size_t>(std::max(from, 0)));
  // Tokens of the answer that were guessed are taken back, and it goes on; otherwise what stays is
  // the beginning of whatever prompt comes next.
  const bool goes_on =
      model->drafts && one.prompt != 0 && kept >= one.prompt && kept < one.tokens.size();
  one.tokens.resize(kept);
  one.prompt = goes_on ? one.prompt : 0;
}

std::uint32_t seq_copy(skerry_model* model,
                       std::uint32_t from,
                       std::uint32_t to,
                       std::int32_t length,
                       skerry_error* error) try {
  std::vector<Sequence>& all = model->sequences;
  if (from >= all.size() || to >= all.size() || from == to || length < 0 ||
      static_cast<std::size_t>(length) > all[from].tokens.size()) {
    return fail(error, SKERRY_E_ENGINE, "there is no such prefix to copy");
  }
  all[to].tokens.assign(all[from].tokens.begin(), all[from].tokens.begin() + length);
  all[to].prompt = 0;
  return SKERRY_OK;
} catch (const std::bad_alloc&) {
  return fail(error, SKERRY_E_MEMORY, "out of memory");
}

// A state is a mark, the number of tokens and the tokens.
constexpr std::string_view kStateMark = "skerry null state 1\n";

std::size_t state_bytes(std::size_t tokens) {
  return kStateMark.size() + sizeof(std::uint64_t) + tokens * sizeof(std::int32_t);
}

std::uint32_t seq_state_size(skerry_model* model,
                             std::uint32_t sequence,
                             std::uint64_t* bytes,
                             skerry_error* error) {
  if (sequence >= model->sequences.size()) {
    return fail(error, SKERRY_E_ENGINE, "there is no such sequence to save");
  }
  *bytes = state_bytes(model->sequences[sequence].tokens.size());
  return SKERRY_OK;
}

std::uint32_t seq_save(skerry_model* model,
                       std::uint32_t sequence,
                       void* bytes,
                       std::size_t capacity,
                       std::size_t* count,
                       skerry_error* error) {
  if (sequence >= model->sequences.size()) {
    return fail(error, SKERRY_E_ENGINE, "there is no such sequence to save");
  }
  const std::vector<std::int32_t>& tokens = model->sequences[sequence].tokens;
  *count = state_bytes(tokens.size());
  if (*count > capacity) {
    return fail(error, SKERRY_E_NO_SPACE, "the state does not fit");
  }
  auto* out = static_cast<std::uint8_t*>(bytes);
  const std::uint64_t length = tokens.size();
  std::memcpy(out, kStateMark.data(), kStateMark.size());
  std::memcpy(out + kStateMark.size(), &length, sizeof length);
  if (!tokens.empty()) {
    std::memcpy(out + kStateMark.size() + sizeof length,
                tokens.data(),
                tokens.size() * sizeof(std::int32_t));
  }
  return SKERRY_OK;
}

std::uint32_t seq_restore(skerry_model* model,
                          std::uint32_t sequence,
                          const void* bytes,
                          std::size_t size,
                          std::int32_t length,
                          skerry_error* error) try {
  if (sequence >= model->sequences.size() || length < 0) {
    return fail(error, SKERRY_E_ENGINE, "there is no such sequence to restore");
  }
  Sequence& one = model->sequences[sequence];
  one = {};
  const auto wanted = static_cast<std::uint64_t>(length);
  const auto* in = static_cast<const std::uint8_t*>(bytes);
  std::uint64_t held = 0;
  if (size != state_bytes(wanted) || std::memcmp(in, kStateMark.data(), kStateMark.size()) != 0) {
    return fail(error, SKERRY_E_INVALID, "these bytes are no state of so many tokens");
  }
  std::memcpy(&held, in + kStateMark.size(), sizeof held);
  if (held != wanted) {
    return fail(error, SKERRY_E_INVALID, "the state is of another length");
  }
  if (wanted > model->context_length) {
    return fail(error, SKERRY_E_NO_SPACE, "the state is longer than the context");
  }
  std::vector<std::int32_t> tokens(wanted);
  if (wanted > 0) {
    std::memcpy(
        tokens.data(), in + kStateMark.size() + sizeof held, tokens.size() * sizeof(std::int32_t));
  }
  one.tokens = std::move(tokens);
  return SKERRY_OK;
} catch (const std::bad_alloc&) {
  return fail(error, SKERRY_E_MEMORY, "out of memory");
}

template <class Item, class Items>
std::uint32_t give(const Items& items, Item* out, std::size_t capacity, std::size_t* count) {
  *count = items.size();
  if (items.size() <= capacity) {
    std::copy(items.begin(), items.end(), out);
  }
  return SKERRY_OK;
}

std::uint32_t tokenize(skerry_model*,
                       skerry_str text,
                       int add_special,
                       int,
                       std::int32_t* tokens,
                       std::size_t capacity,
                       std::size_t* count,
                       skerry_error*) {
  std::vector<std::int32_t> found;
  if (add_special != 0) {
    found.push_back(kBegin);
  }
  for (const char byte : view(text)) {
    found.push_back(static_cast<unsigned char>(byte));
  }
  return give(found, tokens, capacity, count);
}

std::uint32_t pair(skerry_model* model,
                   skerry_str query,
                   skerry_str document,
                   std::int32_t* tokens,
                   std::size_t capacity,
                   std::size_t* count,
                   skerry_error* error) {
  if (!model->ranks) {
    return fail(error, SKERRY_E_UNSUPPORTED, "this model does not rank documents");
  }
  std::vector<std::int32_t> found;
  for (const char byte : view(query)) {
    found.push_back(static_cast<unsigned char>(byte));
  }
  found.push_back(kBegin);
  for (const char byte : view(document)) {
    found.push_back(static_cast<unsigned char>(byte));
  }
  return give(found, tokens, capacity, count);
}

std::uint32_t piece(skerry_model*,
                    std::int32_t token,
                    int,
                    char* bytes,
                    std::size_t capacity,
                    std::size_t* count,
                    skerry_error* error) {
  if (token < 0 || static_cast<std::uint32_t>(token) >= kVocabulary) {
    return fail(error, SKERRY_E_INVALID, "there is no such token");
  }
  const std::string text = token < kEnd ? std::string(1, static_cast<char>(token)) : std::string{};
  return give(text, bytes, capacity, count);
}

int is_end(skerry_model*, std::int32_t token) {
  return token == kEnd ? 1 : 0;
}

std::uint32_t apply_template(skerry_model*,
                             const skerry_message* messages,
                             std::size_t message_count,
                             int,
                             char* text,
                             std::size_t capacity,
                             std::size_t* count,
                             skerry_error*) {
  // The null runtime answers with the last thing said.
  const std::string_view last =
      message_count == 0 ? std::string_view{} : view(messages[message_count - 1].content);
  return give(last, text, capacity, count);
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
                                      .set_threads = nullptr,
                                      .seq_state_size = seq_state_size,
                                      .seq_save = seq_save,
                                      .seq_restore = seq_restore,
                                      .pair = pair};
  return &kTable;
}

}  // namespace skerry_null
