#include "chat_prompts.hpp"

#include <algorithm>

namespace skerry::runtime {
namespace {

constexpr std::string_view kThink = "<think>";

bool is_given(const ChatText& text, std::size_t begin, std::size_t end) {
  const auto span = std::lower_bound(
      text.given.begin(), text.given.end(), begin, [](const ChatText::Span& one, std::size_t at) {
        return one.end <= at;
      });
  return span != text.given.end() && span->begin < end;
}

bool ends_thinking(const ChatText& text) {
  const std::size_t last = text.bytes.find_last_not_of(" \n\r\t");
  if (last == std::string::npos || last + 1 < kThink.size()) {
    return false;
  }
  const std::size_t begin = last + 1 - kThink.size();
  return text.bytes.compare(begin, kThink.size(), kThink) == 0 && !is_given(text, begin, last + 1);
}

}  // namespace

std::vector<ControlPlace> find_controls(const ChatText& text,
                                        const std::vector<std::string>& controls) {
  std::vector<ControlPlace> found;
  std::vector<bool> taken(text.bytes.size(), false);
  // As tokenizers do: the longest texts first, each in what is left between those before it. What
  // was placed before is as long at least, so where it overlaps it has one of the two ends.
  for (const std::string& control : controls) {
    for (std::size_t at = control.empty() ? std::string::npos : text.bytes.find(control);
         at != std::string::npos;) {
      const std::size_t end = at + control.size();
      const bool overlaps = taken[at] || taken[end - 1];
      if (!overlaps) {
        std::fill(taken.begin() + static_cast<std::ptrdiff_t>(at),
                  taken.begin() + static_cast<std::ptrdiff_t>(end),
                  true);
        found.push_back({at, end, is_given(text, at, end)});
      }
      at = text.bytes.find(control, overlaps ? at + 1 : end);
    }
  }
  std::sort(found.begin(), found.end(), [](const ControlPlace& a, const ControlPlace& b) {
    return a.begin < b.begin;
  });
  return found;
}

Result<std::unique_ptr<ChatPrompts>> ChatPrompts::make(StepEngine& engine,
                                                       std::uint32_t vocabulary) {
  auto made = std::make_unique<ChatPrompts>();
  const ChatSource source = engine.chat_source();
  if (source.text.empty()) {
    return made;
  }
  auto parsed = ChatTemplate::parse(source);
  if (!parsed) {
    made->unreadable_ =
        Error{Error::Code::kUnimplemented,
              "this model's chat template cannot be used: " + parsed.error().message() +
                  "; send a plain prompt instead"};
    return made;
  }
  made->template_ = *std::move(parsed);
  const ChatStyle style = read_chat_style(source.text);
  made->thinks_ = style.thinks;
  const std::vector<std::string> marks = marks_of(style);
  for (std::uint32_t i = 0; i < vocabulary; ++i) {
    const auto token = static_cast<std::int32_t>(i);
    auto text = engine.control_piece(token);
    if (!text) {
      return text.error().with_context("reading the control tokens");
    }
    if (text->empty()) {
      continue;
    }
    if (std::find(marks.begin(), marks.end(), *text) != marks.end()) {
      made->shown_.emplace(token, *text);
    }
    made->controls_.push_back(*std::move(text));
  }
  std::stable_sort(made->controls_.begin(),
                   made->controls_.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  auto empty = engine.tokenize("", true, true);
  if (!empty) {
    return empty.error();
  }
  if (!empty->empty()) {
    auto begin = engine.control_piece(empty->front());
    made->begin_ = begin ? *std::move(begin) : std::string{};
  }
  return made;
}

Result<ChatText> ChatPrompts::render(StepEngine& engine, const PromptChat& chat) const {
  if (unreadable_) {
    return *unreadable_;
  }
  if (template_) {
    return template_->render(chat);
  }
  if (!chat.tools.empty()) {
    return Error{Error::Code::kUnimplemented, "this model's engine has no chat template for tools"};
  }
  auto text = engine.apply_template(chat.messages);
  if (!text) {
    return text.error().with_context("applying the chat template");
  }
  return ChatText{*std::move(text), {}};
}

Result<ChatTokens> ChatPrompts::tokens(StepEngine& engine,
                                       const PromptChat& chat,
                                       bool without_thoughts) const {
  auto prompt = render(engine, chat);
  if (!prompt) {
    return prompt.error();
  }
  ChatTokens out;
  out.thinking = ends_thinking(*prompt);
  if (out.thinking && (without_thoughts || !chat.answer_begins.empty())) {
    prompt->append("\n</think>\n\n");
    out.thinking = false;
  }
  prompt->append(chat.answer_begins);
  auto tokens = tokenize(engine, *prompt);
  if (!tokens) {
    return tokens.error();
  }
  out.tokens = *std::move(tokens);
  return out;
}

Result<std::vector<std::int32_t>> ChatPrompts::tokenize(StepEngine& engine,
                                                        const ChatText& prompt) const {
  const std::string_view whole = prompt.bytes;
  // The tokenizer's own beginning and the template's would make two.
  const bool twice = !begin_.empty() && whole.substr(0, begin_.size()) == begin_ &&
                     !is_given(prompt, 0, begin_.size());
  std::size_t at = twice ? begin_.size() : 0;
  std::vector<ControlPlace> places = find_controls(prompt, controls_);
  std::erase_if(places, [at](const ControlPlace& place) { return place.begin < at; });
  std::vector<std::int32_t> out;
  bool first = true;
  const auto add = [&](std::size_t end, bool parse) -> Result<void> {
    if (end == at && !first) {
      return {};
    }
    auto part = engine.tokenize(whole.substr(at, end - at), first, parse);
    if (!part) {
      return part.error();
    }
    out.insert(out.end(), part->begin(), part->end());
    first = false;
    at = end;
    return {};
  };
  // Between two control tokens of the template's there is one run of text. A run in which a caller
  // wrote the text of a control token is tokenized by itself, as nothing but text.
  std::size_t run = at;  // where the run began
  bool theirs = false;   // the run has such a text
  for (std::size_t i = 0; i <= places.size(); ++i) {
    const bool last = i == places.size();
    if (!last && places[i].given) {
      theirs = true;
      continue;
    }
    const std::size_t end = last ? whole.size() : places[i].begin;
    if (theirs) {
      if (auto done = add(run, true); !done) {
        return done.error();
      }
      if (auto done = add(end, false); !done) {
        return done.error();
      }
    }
    run = last ? end : places[i].end;
    theirs = false;
  }
  if (auto done = add(whole.size(), true); !done) {
    return done.error();
  }
  return out;
}

}  // namespace skerry::runtime
