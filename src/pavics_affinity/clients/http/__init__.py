"""What every client needs of a service's answers, whichever standard it speaks."""
