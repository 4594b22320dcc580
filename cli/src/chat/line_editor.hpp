#pragma once

// Lines from a terminal, edited with libedit: its keys, its ~/.editrc, the history of earlier
// chats. What it draws goes to standard error, so that standard output holds answers alone.

#include <memory>

#include "skerry/cli/chat.hpp"
#include "skerry/cli/prompt_history.hpp"

#include "interrupts.hpp"

namespace skerry::cli {

// Everything is borrowed. One at a time in a process. A history that cannot be written is noted
// once.
Result<std::unique_ptr<LineSource>> make_line_editor(Console& console,
                                                     PromptHistory& history,
                                                     Interrupts& interrupts);

}  // namespace skerry::cli
