"""The same as packaged.train."""

from packaged.train import main

main()
