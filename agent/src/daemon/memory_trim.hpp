#pragma once

// Gives back what only starting needed: free heap pages, and the pages of program text that were
// read while everything was set up. They come back from the page cache when they are used again.

#include "skerry/common/log.hpp"

namespace skerry::agent {

// Cheap (a few milliseconds), safe at any time. What cannot be given back stays.
void trim_memory(const Log& log);

}  // namespace skerry::agent
