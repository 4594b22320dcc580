#include "line_editor.hpp"

#include <array>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstring>
#include <histedit.h>
#include <langinfo.h>
#include <optional>
#include <poll.h>
#include <unistd.h>
#include <utility>

namespace skerry::cli {
namespace {

// Text is UTF-8 wherever it goes; libedit asks the locale how wide characters are.
void choose_utf8() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread of this program is started
  if (std::setlocale(LC_CTYPE, "") == nullptr || std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
    std::setlocale(LC_CTYPE, "C.UTF-8");  // NOLINT(concurrency-mt-unsafe): the same
  }
}

constexpr wchar_t kUnreadable = 0xFFFD;

void append_utf8(std::string& out, wchar_t wide) {
  const auto point = static_cast<char32_t>(wide);
  const auto tail = [&out, point](unsigned shift) {
    out += static_cast<char>(0x80U | ((point >> shift) & 0x3FU));
  };
  if (point < 0x80U) {
    out += static_cast<char>(point);
  } else if (point < 0x800U) {
    out += static_cast<char>(0xC0U | (point >> 6U));
    tail(0);
  } else if (point < 0x10000U) {
    out += static_cast<char>(0xE0U | (point >> 12U));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0U | (point >> 18U));
    tail(12);
    tail(6);
    tail(0);
  }
}

std::string to_utf8(const wchar_t* text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    append_utf8(out, text[i]);
  }
  return out;
}

// Bytes that follow the first one of a code point; nothing if it begins none.
std::optional<int> bytes_after(unsigned char lead) {
  if (lead < 0x80U) {
    return 0;
  }
  if (lead >= 0xC2U && lead <= 0xDFU) {
    return 1;
  }
  if (lead >= 0xE0U && lead <= 0xEFU) {
    return 2;
  }
  return lead >= 0xF0U && lead <= 0xF4U ? std::optional<int>{3} : std::nullopt;
}

bool continues(unsigned char byte) {
  return (byte & 0xC0U) == 0x80U;
}

// Neither overlong nor a surrogate: what is sent has to be UTF-8.
bool is_scalar(std::uint32_t point, std::size_t length) {
  const bool overlong = (length == 3 && point < 0x800U) || (length == 4 && point < 0x10000U);
  return !overlong && point <= 0x10FFFFU && (point < 0xD800U || point > 0xDFFFU);
}

std::wstring from_utf8(std::string_view text) {
  std::wstring out;
  while (!text.empty()) {
    const auto lead = static_cast<unsigned char>(text.front());
    const std::optional<int> more = bytes_after(lead);
    const auto length = static_cast<std::size_t>(more.value_or(0)) + 1;
    bool good = more.has_value() && length <= text.size();
    std::uint32_t point = length == 1 ? std::uint32_t{lead} : lead & (0xFFU >> (length + 1));
    for (std::size_t i = 1; good && i < length; ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      good = continues(byte);
      point = (point << 6U) | (byte & 0x3FU);
    }
    good = good && is_scalar(point, length);
    out += good ? static_cast<wchar_t>(point) : kUnreadable;
    text.remove_prefix(good ? length : 1);
  }
  return out;
}

class LineEditor final : public LineSource {
 public:
  LineEditor(Console& console, PromptHistory& history, Interrupts& interrupts)
      : console_(console), history_(history), interrupts_(interrupts) {}
  ~LineEditor() override {
    if (edit_ != nullptr) {
      el_end(edit_);
    }
    if (recalled_ != nullptr) {
      history_wend(recalled_);
    }
  }
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  Result<void> start();
  LineEnd read(std::string_view prompt, std::string& line) override;

 private:
  static LineEditor& self(EditLine* edit) {
    void* data = nullptr;
    el_wget(edit, EL_CLIENTDATA, &data);
    return *static_cast<LineEditor*>(data);
  }
  static wchar_t* prompt_of(EditLine* edit) { return self(edit).prompt_.data(); }
  static int next_character(EditLine* edit, wchar_t* out) { return self(edit).next(*out); }

  int next(wchar_t& out);
  // 1: a byte; 0: there are no more; -1: Ctrl-C.
  int next_byte(unsigned char& out);
  void recall(std::string_view line);
  void keep(std::string_view line);

  Console& console_;
  PromptHistory& history_;
  Interrupts& interrupts_;
  EditLine* edit_ = nullptr;
  HistoryW* recalled_ = nullptr;
  std::wstring prompt_;
  bool interrupted_ = false;
  bool keeps_ = true;
  // Came where the rest of a code point was due: the next key.
  std::optional<unsigned char> ahead_;
};

Result<void> LineEditor::start() {
  choose_utf8();
  recalled_ = history_winit();
  edit_ = el_init("skerry", stdin, stderr, stderr);
  if (recalled_ == nullptr || edit_ == nullptr) {
    return Error{Error::Code::kInternal, "the line editor cannot be started"};
  }
  HistEventW event{};
  history_w(recalled_, &event, H_SETSIZE, static_cast<int>(PromptHistory::kMostLines));
  el_wset(edit_, EL_CLIENTDATA, this);
  el_wset(edit_, EL_PROMPT, prompt_of);
  el_wset(edit_, EL_EDITOR, L"emacs");
  el_wset(edit_, EL_HIST, history_w, recalled_);
  el_wset(edit_, EL_BIND, L"^R", L"em-inc-search-prev", nullptr);
  // Window changes and Ctrl-Z; Ctrl-C is blocked and comes by `interrupts_`.
  el_wset(edit_, EL_SIGNAL, 1);
  el_wset(edit_, EL_GETCFN, next_character);
  el_source(edit_, nullptr);
  for (const std::string& line : history_.lines()) {
    recall(line);
  }
  return {};
}

int LineEditor::next_byte(unsigned char& out) {
  if (ahead_) {
    out = *std::exchange(ahead_, std::nullopt);
    return 1;
  }
  std::array<pollfd, 2> waited{pollfd{STDIN_FILENO, POLLIN, 0},
                               pollfd{interrupts_.fd(), POLLIN, 0}};
  while (true) {
    if (::poll(waited.data(), waited.size(), -1) < 0) {
      if (errno != EINTR) {
        return 0;
      }
      // The window changed, or the program is back in the foreground.
      el_wset(edit_, EL_REFRESH);
      continue;
    }
    if (waited[1].revents != 0 && interrupts_.take()) {
      interrupted_ = true;
      return -1;
    }
    if (waited[0].revents != 0) {
      const ssize_t got = ::read(STDIN_FILENO, &out, 1);
      if (got >= 0 || errno != EINTR) {
        return got == 1 ? 1 : 0;
      }
    }
  }
}

int LineEditor::next(wchar_t& out) {
  unsigned char byte = 0;
  if (const int got = next_byte(byte); got != 1) {
    return got;
  }
  const std::optional<int> more = bytes_after(byte);
  if (!more) {
    out = kUnreadable;
    return 1;
  }
  std::string point{static_cast<char>(byte)};
  for (int i = 0; i < *more; ++i) {
    if (const int got = next_byte(byte); got != 1) {
      return got;
    }
    if (!continues(byte)) {
      ahead_ = byte;
      out = kUnreadable;
      return 1;
    }
    point += static_cast<char>(byte);
  }
  out = from_utf8(point).front();
  return 1;
}

LineEnd LineEditor::read(std::string_view prompt, std::string& line) {
  line.clear();
  prompt_ = from_utf8(prompt);
  interrupted_ = false;
  // Before the prompt is seen, which libedit shows first: a Ctrl-D that came in between would be
  // the terminal's own and end nothing.
  el_wset(edit_, EL_PREP_TERM, 1);
  int count = 0;
  const wchar_t* const typed = el_wgets(edit_, &count);
  if (interrupted_) {
    const LineInfoW* const given_up = el_wline(edit_);
    line = to_utf8(given_up->buffer, static_cast<int>(given_up->lastchar - given_up->buffer));
    el_reset(edit_);
    console_.note("");
    return LineEnd::kInterrupted;
  }
  if (typed == nullptr || count <= 0) {
    return LineEnd::kEnd;
  }
  line = to_utf8(typed, count);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) {
    line.pop_back();
  }
  keep(line);
  return LineEnd::kLine;
}

void LineEditor::recall(std::string_view line) {
  HistEventW event{};
  history_w(recalled_, &event, H_ENTER, from_utf8(line).c_str());
}

void LineEditor::keep(std::string_view line) {
  const auto kept = history_.add(line);
  if (!kept && std::exchange(keeps_, false)) {
    console_.note(printable("lines are not remembered: " + kept.error().to_string()));
  }
  if (!kept || *kept) {
    recall(line);
  }
}

}  // namespace

Result<std::unique_ptr<LineSource>> make_line_editor(Console& console,
                                                     PromptHistory& history,
                                                     Interrupts& interrupts) {
  auto editor = std::make_unique<LineEditor>(console, history, interrupts);
  if (auto started = editor->start(); !started) {
    return started.error();
  }
  return std::unique_ptr<LineSource>{std::move(editor)};
}

}  // namespace skerry::cli
