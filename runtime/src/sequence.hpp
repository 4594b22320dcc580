#pragma once

// One request that the scheduler has taken in: what is computed, what has been, and the events that
// follow. The scheduler decides when; a sequence knows what.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "skerry/runtime/sampler.hpp"
#include "skerry/runtime/scheduler.hpp"
#include "skerry/runtime/text_filter.hpp"

#include "chat_prompts.hpp"
#include "constraint.hpp"
#include "draft_account.hpp"
#include "grammar_trigger.hpp"
#include "prefix_chain.hpp"

namespace skerry::runtime {

inline constexpr std::uint32_t kNoSlot = 0xffffffffU;

// State of a GenerateRequest.
struct Generation {
  Sampler sampler;
  TextFilter filter;
  std::uint32_t limit = 0;  // tokens that may be generated
  std::uint32_t generated = 0;
  std::int32_t next_token = -1;
  std::vector<std::int32_t> unreported;
  std::vector<std::int32_t> tokens;        // all that were sampled
  std::unique_ptr<Constraint> constraint;  // null: the answer is free
  std::optional<GrammarTrigger> trigger;   // the constraint waits for it
  // Control tokens that are part of a chat's answer; null: none.
  const ChatPrompts::Marks* shown = nullptr;
  std::optional<std::uint32_t> log_probs;  // as in the request
  std::vector<TokenLogProb> unreported_log_probs;
  Draft draft;
};

// State of an EmbedRequest: the texts are computed one after another.
struct Embedding {
  bool ranks = false;  // the texts are documents beside a query
  std::size_t text = 0;
  std::vector<double> sum;
  Embeddings result;
};

// State of a ScoreRequest.
struct Scoring {
  std::uint32_t top = 0;
  Scores result;
};

struct Sequence {
  RequestKey key = 0;
  RequestMeta meta;
  std::variant<Generation, Embedding, Scoring> work;
  // Prompt tokens; for an EmbedRequest one list for each text, else one list.
  std::vector<std::vector<std::int32_t>> prompts;
  std::uint32_t slot = kNoSlot;  // the engine's sequence number while it runs
  std::size_t computed = 0;      // tokens of the present prompt that are in the engine
  std::uint32_t reserved = 0;    // context that it may fill
  BootTime submitted{0};
  BootTime started{0};
  BootTime answered{0};  // when the prompt was done
  BootTime resumed{0};   // when it last got a slot
  bool cancelled = false;
  bool announced = false;           // Started was emitted
  std::uint32_t sent_back = 0;      // times that it gave its slot to another
  std::size_t own_prompt = 0;       // length of the prompt as it was asked, once sent back
  PrefixChain chain;                // of the prompt; nothing while nothing is cached
  std::uint32_t cached_tokens = 0;  // of the prompt that were copied, not computed
  bool thinking = false;            // the answer begins with thoughts
  // While it waits for the second tier's answer, or for that of another one that begins alike.
  std::optional<BootTime> tier_until;
  bool asked_tier = false;
  std::optional<FoundPrefix> found;  // the answer, until it starts

  [[nodiscard]] const std::vector<std::int32_t>& prompt() const;
  [[nodiscard]] bool embeds() const { return std::holds_alternative<Embedding>(work); }
  [[nodiscard]] bool scores() const { return std::holds_alternative<Scoring>(work); }
  // The prompt is in the engine and a sampled token waits to be computed.
  [[nodiscard]] bool decoding() const;
  [[nodiscard]] std::uint32_t prompt_tokens() const;
  // Of the prompt, what may come from elsewhere: whole blocks, and never its last token, whose row
  // gives the logits.
  [[nodiscard]] std::size_t reusable() const;
};

// How a sequence goes on after some of its rows were computed.
struct Verdict {
  std::optional<FinishReason> finished;
  std::optional<Error> failed;
};

// Appends the rows that the sequence wants next; returns how many. Of a prompt at most `budget`,
// else the sampled token and what is guessed to follow.
std::size_t append_rows(const Sequence& sequence, std::size_t budget, std::vector<Row>& rows);

// Takes in the engine's results for the sequence's rows [first, first + count) of the batch and
// emits what follows. Guesses are taken as far as they are what is drawn; the engine forgets the
// others.
Verdict take_results(Sequence& sequence,
                     StepEngine& engine,
                     std::size_t first,
                     std::size_t count,
                     BootTime now,
                     const Scheduler::Emit& emit);

// Makes a generation that lost its slot able to go on in another: what it has sampled becomes part
// of the prompt that is computed again.
void send_back(Sequence& sequence);

// Emits held-back text, results and Done.
void finish_sequence(Sequence& sequence,
                     FinishReason reason,
                     BootTime now,
                     const Scheduler::Emit& emit);

}  // namespace skerry::runtime
