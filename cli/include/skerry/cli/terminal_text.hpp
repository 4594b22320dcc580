#pragma once

// Makes text that a model wrote safe for a terminal: control characters become visible signs, so
// that an answer cannot move the cursor, change colours, rename the window or paste into the shell.
// Line feeds and tabs stay. `skerry run` passes what it prints on a terminal through it; what goes
// to a file or a pipe stays as it is.

#include <string>
#include <string_view>

namespace skerry::cli {

class TerminalText {
 public:
  // What may be printed of `piece` and of what was held back before. A code point that the end of
  // the piece cuts waits for the next one; bytes that are no UTF-8 become U+FFFD.
  std::string clean(std::string_view piece);
  // What is left at the end of the text.
  std::string finish();

 private:
  // The beginning of a code point, 3 bytes at most.
  std::string held_;
};

}  // namespace skerry::cli
