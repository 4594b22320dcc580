#pragma once

// Renders a conversation into a prompt by the model's own chat template: Jinja, as the template's
// authors tested it with Hugging Face's transformers (docs/chat-templates.md). Used by the worker's
// intake. A template comes with a signed model and is untrusted input all the same: its work,
// memory and depth are bounded. Pure; no clock, no files.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/runtime/request.hpp"

namespace skerry::runtime {

struct TemplateLimits {
  std::size_t template_bytes = 256U << 10U;
  std::size_t nodes = 60'000;
  // Nodes evaluated and, for what they make, one for each 16 bytes: less than a second. Of all
  // attempts at a chat together.
  std::size_t work = 4'000'000;
  std::size_t memory = 256U << 20U;
  std::size_t output = 16U << 20U;
  // Nested statements and expressions when parsed, and when run with the macros they call.
  std::size_t parse_depth = 96;
  std::size_t depth = 400;
  std::size_t value_depth = 64;
};

// A text of which some bytes came with the request.
struct ChatText {
  struct Span {
    std::size_t begin = 0;
    std::size_t end = 0;
    friend bool operator==(const Span&, const Span&) = default;
  };
  std::string bytes;
  // Sorted, not empty, neither overlapping nor touching.
  std::vector<Span> given;

  void append(std::string_view own) { bytes += own; }
  void append(const ChatText& other);
  void append_given(std::string_view theirs);
  // Bytes [begin, end).
  [[nodiscard]] ChatText part(std::size_t begin, std::size_t end) const;
};

// What a model's file says about its conversations.
struct ChatSource {
  std::string text;   // the template; empty: none
  std::string begin;  // texts of the tokens that begin and end a document
  std::string end;
};

namespace jinja {
struct Program;
}

// Immutable and thread-safe.
class ChatTemplate {
 public:
  // kInvalidArgument "chat template, line 3: …".
  static Result<std::shared_ptr<const ChatTemplate>> parse(ChatSource source,
                                                           const TemplateLimits& limits = {});
  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  // kInvalidArgument: what the template refuses (its own words) or cannot do with this chat, and
  // where; kResourceExhausted: it takes more work or memory than the limits allow.
  [[nodiscard]] Result<ChatText> render(const PromptChat& chat) const;

  [[nodiscard]] const ChatSource& source() const { return source_; }

 private:
  ChatTemplate(ChatSource source,
               const TemplateLimits& limits,
               std::unique_ptr<jinja::Program> program);
  ChatSource source_;
  TemplateLimits limits_;
  std::unique_ptr<jinja::Program> program_;
};

}  // namespace skerry::runtime
