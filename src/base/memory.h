// Memory that a quiet process gives back. Any thread.
#pragma once

namespace fairlead::base {

// Free memory of malloc, and the pages of the program's and its libraries' code and constants: what start-up or a burst went through is
// not needed again soon, and what is comes back from the page cache, some hundred soft faults. Takes a millisecond or two.
void give_back_memory();

}  // namespace fairlead::base
